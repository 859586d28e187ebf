"""The sink against a real broker: killed between any two calls of its protocol, every row is there once."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.sinks import Owner
from ecompulse.epochs.steps import CRASH_AT, Step
from ecompulse.io.kafka.sink import KafkaSink
from ecompulse.io.stores import LocalStore
from support import publishing
from support.forked import ForkedPopen
from support.marks import nightly
from support.process import PATIENCE
from support.publishing import CHECKPOINT, ROWS, open_sink, seal
from support.topics import Topics

pytestmark = pytest.mark.slow

STEPS = [step for step in Step if step.name.startswith("KAFKA_")]


@pytest.fixture
def prefix() -> str:
    return f"p{uuid.uuid4().hex[:10]}."


def publish(sink: KafkaSink, root: Path, *epochs: int) -> None:
    for epoch in epochs:
        sink.publish_epoch(epoch, seal(LocalStore(str(root)), epoch))


def in_a_process(
    topics: Topics, prefix: str, root: Path, client: str, epochs: tuple[int, int], units: int = 2, crash_at: str = ""
) -> tuple[int, str]:
    """Publish epochs in a process of its own: its exit status, and what it said."""
    arguments = [topics.bootstrap, prefix, str(root), str(units), client, *map(str, epochs)]
    environment = {**os.environ, "PYTHONPATH": str(Path(publishing.__file__).parents[1]), CRASH_AT: crash_at}
    called = [sys.executable, "-m", publishing.__name__, *arguments]
    process = ForkedPopen(called, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def check_whole(topics: Topics, prefix: str, epochs: Sequence[int], topic: str = "enriched_events") -> None:
    """Every row of these epochs once, per key in the order of its numbers, all of a key in one partition."""
    found = topics.committed(f"{prefix}{topic}")
    numbers = [record.row["number"] for record in found]
    expected = [number for epoch in epochs for number in range(epoch * ROWS, (epoch + 1) * ROWS)]
    assert sorted(numbers) == expected
    by_key: dict[bytes | None, list[tuple[int, int, int]]] = {}
    for record in found:
        by_key.setdefault(record.key, []).append((record.partition, record.offset, record.row["number"]))
    assert set(by_key) == {f"u{number}".encode() for number in range(publishing.KEYS)}
    for places in by_key.values():
        assert len({partition for partition, _, _ in places}) == 1
        assert [number for *_, number in sorted(places)] == sorted(number for *_, number in places)


CLIENTS = ("python", "confluent")


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    if request.param == "confluent":
        pytest.importorskip("confluent_kafka")
    return str(request.param)


@pytest.mark.parametrize("occurrence", nightly([1, 2], [1]))
@pytest.mark.parametrize("step", STEPS)
def test_killed_between_any_two_calls_every_row_is_there_once(
    topics: Topics, prefix: str, tmp_path: Path, client: str, step: Step, occurrence: int
) -> None:
    """The first occurrences are those of registering: the epoch that dies is the second one."""
    topics.make(3, f"{prefix}enriched_events")
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 1)
    status, said = in_a_process(topics, prefix, tmp_path, client, (2, 2), crash_at=f"{step}:{occurrence}")
    once = step is Step.KAFKA_LEDGER_READ and occurrence == 2
    assert status == (0 if once else -signal.SIGKILL), said
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 2, 3)
    check_whole(topics, prefix, [1, 2, 3])
    assert len(topics.committed(f"{prefix}alerts")) == 15


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3)])
@pytest.mark.parametrize("step", [Step.KAFKA_WRITTEN, Step.KAFKA_COMMITTED])
def test_killed_and_continued_with_another_number_of_writers(
    topics: Topics, prefix: str, tmp_path: Path, client: str, step: Step, before: int, after: int
) -> None:
    publish(open_sink(topics.bootstrap, prefix, tmp_path, before, client=client), tmp_path, 1)
    status, said = in_a_process(
        topics, prefix, tmp_path, client, (2, 2), units=before, crash_at=f"{step}:{min(before, 2)}"
    )
    assert status == -signal.SIGKILL, said
    publish(open_sink(topics.bootstrap, prefix, tmp_path, after, client=client), tmp_path, 2, 3)
    publish(open_sink(topics.bootstrap, prefix, tmp_path, before, client=client), tmp_path, 3, 4)
    check_whole(topics, prefix, [1, 2, 3, 4])


def test_published_again_and_again_changes_nothing(topics: Topics, prefix: str, tmp_path: Path, client: str) -> None:
    sink = open_sink(topics.bootstrap, prefix, tmp_path, client=client)
    publish(sink, tmp_path, 1, 1, 2, 1, 2)
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 1, 2)
    check_whole(topics, prefix, [1, 2])
    assert topics.committed(f"{prefix}empty") == []


def test_an_older_copy_of_the_checkpoint_is_refused(topics: Topics, prefix: str, tmp_path: Path, client: str) -> None:
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 1, 2)
    for sealed in (2, 3):  # an epoch that was sealed, and died before it was published, is no news
        open_sink(topics.bootstrap, prefix, tmp_path, client=client, owner=Owner("job", CHECKPOINT, sealed=sealed))
    with pytest.raises(UserError, match=r"^--sink: .*has epoch 2 of this checkpoint, and the checkpoint only 1"):
        open_sink(topics.bootstrap, prefix, tmp_path, client=client, owner=Owner("job", CHECKPOINT, sealed=1))


def test_rows_are_those_of_the_json_lines_sink_with_keys(
    topics: Topics, prefix: str, tmp_path: Path, client: str
) -> None:
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 1)
    first = min(topics.committed(f"{prefix}enriched_events"), key=lambda record: record.row["number"])
    assert first.key == b"u5"
    assert first.value == (
        b'{"id":"00000000000000000000000000000028","user_id":"u5","number":40,"event_type":"page_view",'
        b'"event_time":"1970-01-01T00:00:00.040+00:00"}'
    )
    assert {record.key for record in topics.committed(f"{prefix}alerts")} == {
        record.row["id"].encode() for record in topics.committed(f"{prefix}alerts")
    }


def test_routes_split_an_output_by_event_type(topics: Topics, prefix: str, tmp_path: Path) -> None:
    publish(open_sink(topics.bootstrap, prefix, tmp_path, routes={"purchase": "orders"}), tmp_path, 1)
    assert {record.row["event_type"] for record in topics.committed(f"{prefix}enriched_events")} == {"page_view"}
    assert [record.row["number"] % 2 for record in topics.committed(f"{prefix}orders")] == [1] * 20
    assert len(topics.committed(f"{prefix}alerts")) == 5  # not split


def test_zombie_writes_nothing_once_its_successor_has_begun(
    topics: Topics, prefix: str, tmp_path: Path, client: str
) -> None:
    zombie = open_sink(topics.bootstrap, prefix, tmp_path, client=client)
    publish(zombie, tmp_path, 1)
    successor = open_sink(topics.bootstrap, prefix, tmp_path, units=1, client=client)
    publish(successor, tmp_path, 2)
    with pytest.raises(JobError, match=r"(?i)fenced|InvalidProducerEpoch"):
        publish(zombie, tmp_path, 2)
    publish(successor, tmp_path, 3)
    check_whole(topics, prefix, [1, 2, 3])


def test_a_client_that_has_noticed_it_is_fenced_by_itself_still_says_so(topics, prefix, tmp_path) -> None:
    """Librdkafka's own thread may notice first: every later call then only says that the client is of no more use."""
    pytest.importorskip("confluent_kafka")
    zombie = open_sink(topics.bootstrap, prefix, tmp_path, client="confluent")
    publish(zombie, tmp_path, 1)
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client="confluent"), tmp_path, 2)
    writer = zombie._writers[0]
    writer._producer.begin_transaction()
    late = partial(writer._call, writer._producer.produce, f"{prefix}enriched_events", b"late")
    with pytest.raises(JobError, match=r"(?i)fenced"):
        until_it_fails(late)


def until_it_fails(call: Callable[[], object]) -> None:
    for _ in range(200):
        call()
        time.sleep(0.1)


def test_stopped_inside_a_transaction_and_woken_after_its_successor(
    topics: Topics, prefix: str, tmp_path: Path, client: str
) -> None:
    arguments = [topics.bootstrap, prefix, str(tmp_path), "2", client, "1", "400"]
    environment = {**os.environ, "PYTHONPATH": str(Path(publishing.__file__).parents[1])}
    zombie = subprocess.Popen(
        [sys.executable, publishing.__file__, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    try:
        assert zombie.stdout is not None
        while zombie.stdout.readline() != "through 3\n":
            pass
        zombie.send_signal(signal.SIGSTOP)
        sink = open_sink(topics.bootstrap, prefix, tmp_path, client=client)
        publish(sink, tmp_path, *range(3, 10))  # whichever of these the zombie was in
        zombie.send_signal(signal.SIGCONT)
        _, said = zombie.communicate(timeout=120)
        assert "JobError" in said
        published = len(topics.committed(f"{prefix}enriched_events")) // ROWS
        publish(sink, tmp_path, *range(10, 12))
    finally:
        zombie.kill()
    assert published == 9
    check_whole(topics, prefix, range(1, 12))


def test_expired_ledger_stops_with_a_line_and_is_read_from_its_topic_when_asked(
    topics: Topics, prefix: str, tmp_path: Path, client: str
) -> None:
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 1, 2)
    topics.admin.delete_groups([f"ecompulse/{publishing.CHECKPOINT}/{prefix}"])  # what retention does in a week
    with pytest.raises(UserError, match=r"writer 0 has no entry in the ledger at epoch 2: .*--ledger=scan reads"):
        publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 2)
    publish(open_sink(topics.bootstrap, prefix, tmp_path, ledger_by="scan", client=client), tmp_path, 2, 3)
    publish(open_sink(topics.bootstrap, prefix, tmp_path, client=client), tmp_path, 3, 4)
    check_whole(topics, prefix, [1, 2, 3, 4])


def test_expired_ledger_of_the_first_epoch_is_looked_up_by_itself(topics: Topics, prefix: str, tmp_path: Path) -> None:
    publish(open_sink(topics.bootstrap, prefix, tmp_path), tmp_path, 1)
    topics.admin.delete_groups([f"ecompulse/{publishing.CHECKPOINT}/{prefix}"])
    publish(open_sink(topics.bootstrap, prefix, tmp_path), tmp_path, 1)
    check_whole(topics, prefix, [1])


def test_epochs_without_rows_cost_no_transaction(topics: Topics, prefix: str, tmp_path: Path) -> None:
    sink = open_sink(topics.bootstrap, prefix, tmp_path)
    publish(sink, tmp_path, 1)
    before = len(topics.committed(f"{prefix}ecompulse-ledger"))
    sink.publish_epoch(2, [(table, []) for table in publishing.TABLES])
    publish(open_sink(topics.bootstrap, prefix, tmp_path), tmp_path, 1)
    assert len(topics.committed(f"{prefix}ecompulse-ledger")) == before
    publish(sink := open_sink(topics.bootstrap, prefix, tmp_path), tmp_path, 3)
    check_whole(topics, prefix, [1, 3])


def test_a_broker_that_is_not_there_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecompulse.io.kafka.cluster.CONNECT_MS", 500)
    with pytest.raises(JobError, match=r"^--sink: kafka://127.0.0.1:1: nobody answers there; .*$"):
        open_sink("127.0.0.1:1", "", tmp_path)
