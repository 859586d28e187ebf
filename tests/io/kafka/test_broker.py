"""The broker itself is killed, stopped or restarted: what was sealed is there once when it is back."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecompulse.epochs.retry_policy import Retries, RetryPolicy
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.kafka.source import KafkaSource, Reading
from ecompulse.io.stores import LocalStore
from services import kafka as service
from services.fixtures import missing
from services.server import Server, Unavailable
from support.marks import nightly
from support.publishing import ROWS, open_sink, seal
from support.topics import Topics

pytestmark = pytest.mark.slow

STEPS = [Step.KAFKA_BEGUN, Step.KAFKA_WRITTEN, Step.KAFKA_LEDGER_SENT, Step.KAFKA_COMMITTED]


class Pause:
    """Lets time pass, as a driver's clock does."""

    def wait(self, seconds: float, stop: threading.Event) -> None:
        stop.wait(min(seconds, 1.0))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker that may be killed."""
    try:
        server = service.start(tmp_path_factory.mktemp("broker"))
    except Unavailable as error:
        missing("kafka", str(error))
    yield server
    server.stop()


@pytest.mark.parametrize("step", nightly(STEPS, [Step.KAFKA_WRITTEN]))
def test_broker_killed_inside_a_transaction(own: Server, tmp_path: Path, step: Step) -> None:
    prefix, bootstrap, store = f"p{uuid.uuid4().hex[:10]}.", own.facts["bootstrap"], LocalStore(str(tmp_path))
    sink = open_sink(bootstrap, prefix, tmp_path)
    sink.publish_epoch(1, seal(store, 1))
    lock, killed = threading.Lock(), []

    def kill(reached: Step) -> None:
        with lock:
            if reached is step and not killed:
                own.kill()
                killed.append(reached)
                own.start()

    persist = RetryPolicy(Pause(), threading.Event())
    stop, retries = observe(kill), Retries()
    try:
        for epoch in (2, 3):
            persist(lambda epoch=epoch: sink.publish_epoch(epoch, seal(store, epoch)), 10, retries, "publish")
    finally:
        stop()
    assert killed == [step]
    topics = Topics(bootstrap)
    numbers = [record.row["number"] for record in topics.committed(f"{prefix}enriched_events")]
    topics.close()
    assert sorted(numbers) == list(range(ROWS, 4 * ROWS))


@pytest.mark.heavy("a broker of its own, started twice")
@pytest.mark.parametrize("client", ["python", "confluent"])
def test_reader_goes_on_after_its_broker_was_restarted(own: Server, client: str) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka")
    topics = Topics(own.facts["bootstrap"])
    name = topics.make()
    topics.send(name, [b"%d" % number for number in range(10)])
    source = KafkaSource(f"kafka://{topics.bootstrap}/{name}", 0, Reading(client=client))
    found: list[bytes] = []
    positions: dict[str, object] = {}
    for _ in range(2):
        backlog = source.plan(positions, 5, {}, whole=False)
        found += [raw for split in backlog.splits for frame in source.reader().read(split) for raw in frame["raw"]]
        positions |= backlog.positions
        own.kill()
        own.start()
    assert found == [b"%d" % number for number in range(10)]
    topics.close()
