"""Kafka, with Redis beside, to Kafka, S3 and PostgreSQL: killed or asleep at every step, a numbered sequence finds all.

The look-up's values change at every crash and every restart: what was sealed before keeps its own in all sinks.
"""

import itertools
import signal
from collections.abc import Iterator

import pytest

from ecompulse.cli import audit
from ecompulse.epochs.steps import Step
from services import s3
from services.server import Server
from support.live import LiveShop, Servers, verdict
from support.marks import nightly
from support.numbered import send
from support.process import wait_until

pytestmark = pytest.mark.slow

FLAGS = ("--trigger=available-now", "--keep_epochs=1", "--watermark_delay=30s", "--quality_window=10s")
STEPS = [step for step in Step if not step.value.startswith(("jsonl.", "alerts."))]
ASLEEP = [Step.RAN, Step.SEALED, Step.LAKE_BEFORE_COMMIT, Step.WAREHOUSE_COMMITTED, Step.KAFKA_WRITTEN, Step.PUBLISHED]
"""Each sink's own way to refuse a zombie; the warehouse's sleepers within a transaction are in tests/io/sinks."""

PUSH = [*(step for step in STEPS if step.value.startswith("kafka.")), Step.LAKE_COMMITTED, Step.WAREHOUSE_COMMITTED]
"""Kills that other tests do not have: with all servers, each in the midst of its own epoch."""

tiers = (f"tier-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def servers(kafka: Server, redis: Server, postgres: Server, moto: Server) -> Servers:
    return Servers(kafka, redis, postgres, moto)


@pytest.fixture(scope="module")
def shop(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveShop]:
    """One for all crashes: what one has broken, the next ones find."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.ENVIRONMENT.items():
            patch.setenv(name, value)
        made = LiveShop(tmp_path_factory.mktemp("live"), "", FLAGS, servers=servers)
        more(made)
        assert made.run_here("--progress=none") == (0, "")  # its writers are known to the ledger: no epoch is the first
        yield made
        made.stop_all()


def more(shop: LiveShop, count: int = 60) -> None:
    """Events to come, and another value to look up."""
    shop.set_tier(next(tiers))
    send(shop.topics, shop.topic, shop.numbered, count)


def check(shop: LiveShop) -> None:
    found = verdict(shop)
    assert found.whole, found
    assert audited(shop) == 0
    assert shop.lake()["user_tier"].n_unique() > 1, "no value has changed: this proves nothing"


def audited(shop: LiveShop) -> int:
    """The exit status of the audit of all sinks."""
    place = f"s3://{shop.bucket}/checkpoint"
    return audit.main([place, f"--s3_endpoint={shop.endpoint}", f"--warehouse={shop.warehouse}"])


@pytest.mark.heavy("the whole job with all services, in two processes")
@pytest.mark.parametrize("step", nightly(STEPS, PUSH))
def test_killed_at_a_step_and_started_again(shop: LiveShop, step: Step) -> None:
    more(shop)
    life = shop.live(crash_at=f"{step}:1")
    assert life.wait() == -signal.SIGKILL, f"{step} was never reached: {life.said}"
    assert life.trace[-1] == step
    more(shop, 7)
    assert shop.run_here("--progress=none") == (0, "")
    check(shop)


@pytest.mark.heavy("a driver that sleeps, and its successor with all services")
@pytest.mark.parametrize("step", nightly(ASLEEP, [Step.KAFKA_WRITTEN]))
def test_asleep_at_a_step_while_a_successor_commits(shop: LiveShop, step: Step) -> None:
    more(shop)
    old = shop.live(sleep_at=f"{step}:1")
    wait_until(lambda: old.asleep or old.ended)
    more(shop, 7)
    assert shop.run_here("--progress=none") == (0, "")
    more(shop, 5)
    old.process.send_signal(signal.SIGCONT)
    assert old.wait() == 1
    assert "a newer driver" in old.said
    assert old.said.count("\n") == 1
    assert shop.run_here("--progress=none") == (0, "")
    check(shop)


@pytest.mark.heavy("the whole job with all services, twice")
def test_a_checkpoint_that_is_lost_and_made_anew_replaces_what_was_there(
    servers: Servers, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads all again, and is another writer: refused beside what the old one wrote, until it may replace that."""
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    shop = LiveShop(tmp_path, "", FLAGS, servers=servers)
    more(shop, 100)
    assert shop.run_here("--progress=none") == (0, "")
    client = s3.client(servers.moto)
    for folder in ("checkpoint/", "backup/"):
        for name in client.list_objects_v2(Bucket=shop.bucket, Prefix=folder)["Contents"]:
            client.delete_object(Bucket=shop.bucket, Key=name["Key"])
    more(shop, 50)
    status, said = shop.run_here("--progress=none")
    assert (status, said.count("\n")) == (2, 1)
    assert "holds rows of event_enrichment from another checkpoint" in said
    status, said = shop.run_here("--progress=none", "--replace")
    assert status == 2
    assert "topics cannot be replaced; give another --topic_prefix" in said
    shop.prefix += "again."
    assert shop.run_here("--progress=none", "--replace") == (0, "")
    assert verdict(shop).whole
    assert audited(shop) == 0


def test_a_record_that_a_topic_has_twice_is_found(
    servers: Servers, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    shop = LiveShop(tmp_path, "", FLAGS, servers=servers)
    more(shop, 20)
    assert shop.run_here("--progress=none") == (0, "")
    assert audited(shop) == 0
    topic = f"{shop.prefix}enriched_events"
    shop.topics.send(topic, [shop.topic_values()[0]])
    capsys.readouterr()
    assert audited(shop) == 1
    said = capsys.readouterr().out
    assert (
        f"DIFFERS  enriched_events in kafka://{shop.topics.bootstrap}/{shop.prefix}*: epoch 1: 20 sealed, 21 there"
        in said
    )
