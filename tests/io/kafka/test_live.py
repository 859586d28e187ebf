"""The simulator into topics, and the live demo."""

import re
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from ecompulse.epochs.errors import JobError
from ecompulse.io.kafka.settings import ClientSettings
from ecompulse.io.kafka.streams import TopicStreams, keys_of
from ecompulse.simulator.produce import produce
from ecompulse.simulator.settings import Settings
from support.process import command
from support.topics import Topics

pytestmark = pytest.mark.slow


class Clock:
    """A clock that is moved by sleeping."""

    def __init__(self) -> None:
        self.time = 1_770_000_000_000

    def now(self) -> int:
        return self.time

    def sleep(self, milliseconds: int) -> None:
        self.time += milliseconds


def test_what_the_simulator_sends_is_in_the_topics_in_order_per_key(topics: Topics) -> None:
    prefix, clock = f"{topics.make()}.", Clock()
    streams = TopicStreams(topics.bootstrap, prefix, ClientSettings(), partitions=3)
    end = clock.now() + 30_000
    truth = produce(Settings(seed=3), 50, streams, clock, stop=lambda: clock.now() > end)
    events = topics.committed(f"{prefix}events")
    assert len(events) == truth.rows > 1000
    assert streams.sent == sum(
        len(topics.committed(f"{prefix}{name}")) for name in ("events", "user_updates", "labels", "product_updates")
    )
    partitions: dict[bytes | None, set[int]] = {}
    for record in events:
        partitions.setdefault(record.key, set()).add(record.partition)
    assert all(len(places) == 1 for key, places in partitions.items() if key is not None)
    assert len(partitions) > 20


def test_keys_are_taken_from_broken_lines_too() -> None:
    lines = [b'{"anonymous_id":"a","user_id":"u"}\n', b'{"anonymous_id": "a"', b"\xff\n", b'{"user_id":null}\n']
    assert keys_of(pl.Series(lines, dtype=pl.Binary)).to_list() == ["u", "a", None, None]


def test_a_second_sender_uses_the_topics_that_are_there(topics: Topics) -> None:
    prefix = f"{topics.make()}."
    topics.make(5, f"{prefix}events")
    TopicStreams(topics.bootstrap, prefix, ClientSettings()).close()
    TopicStreams(topics.bootstrap, prefix, ClientSettings()).close()
    assert len(topics.admin.describe_topics([f"{prefix}events"])[0]["partitions"]) == 5


def test_brokers_that_are_not_there_are_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecompulse.io.kafka.cluster.CONNECT_MS", 300)
    with pytest.raises(JobError, match=r"--kafka: kafka://127.0.0.1:1: nobody answers there"):
        TopicStreams("127.0.0.1:1", "", ClientSettings())


def test_the_live_demo_sells_and_a_job_follows(topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecompulse.cli.live.JOBS", ("event_enrichment",))
    monkeypatch.setattr("ecompulse.cli.live.PREFIX", f"{topics.make()}.")
    flags = ["--live", f"--kafka={topics.bootstrap}", "--for=2s", "--rate=100", f"--out={tmp_path / 'demo'}"]
    status, shown, said = command("pipelines.demo", *flags)
    assert (status, said) == (0, "")
    # How many epochs there are in that time is the machine's affair.
    assert re.search(r"event_enrichment: epoch \d+: \d+ rows in [\d,]+ ms, \d+ offsets behind", shown)
    sent = re.search(r"^sent\s+([\d,]+) events", shown, re.MULTILINE)
    followed = re.search(r"^event_enrichment\s+([\d,]+) events in \d+ epochs: (.*)$", shown, re.MULTILINE)
    assert sent
    assert followed
    assert followed[1] == sent[1]  # it has read all that was sent, and no more
    accounts = {name: int(rows.replace(",", "")) for rows, name in re.findall(r"(\d[\d,]*) (\w+)", followed[2])}
    assert sum(accounts.values()) == int(sent[1].replace(",", "")) > 100
    for name in ("enriched_events", "dead_letters"):
        table = DeltaTable(str(tmp_path / "demo" / "lake" / name)).to_pyarrow_table()
        assert table.num_rows == accounts.get(name, 0), name
    assert "every one is accounted for" in shown


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--live",), "--kafka: is required with --live"),
        (("--live", "--kafka=127.0.0.1:1", "--for=soon"), "--for: "),
        (("--live", "--kafka=nowhere"), "--kafka: kafka://nowhere: 'nowhere' is no host:port"),
    ],
)
def test_wrong_use_of_the_live_demo_is_a_line(tmp_path: Path, flags: tuple[str, ...], expected: str) -> None:
    status, _, said = command("pipelines.demo", *flags, f"--out={tmp_path / 'demo'}")
    assert status == 2
    assert expected in said
