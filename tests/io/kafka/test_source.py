"""The source against a real broker: every stable record once, and a word for each that is lost."""

from contextlib import nullcontext
from typing import Any

import polars as pl
import pytest

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import Backlog
from ecompulse.io.kafka.source import KafkaSource, Reading
from ecompulse.io.kafka.start import parse_start
from ecompulse.kernels.enrich.enrichment import EnrichConfig
from ecompulse.kernels.step import Clock
from ecompulse.transforms.decode import DecodeRows
from support.process import wait_until
from support.topics import Topics

pytestmark = pytest.mark.slow
NOW = 1_900_000_000_000


class Reader:
    """A driver's memory of a source, and what its workers have read of it."""

    def __init__(self, topics: Topics, *names: str, **reading: Any) -> None:
        self.uri = f"kafka://{topics.bootstrap}/{','.join(names)}"
        self.reading = Reading(**reading)
        self.positions: dict[str, Any] = {}
        self.rows: list[tuple[str, int, int, bytes | None]] = []
        self.tops: dict[int, int] = {}
        self.restart()

    def restart(self) -> None:
        self.source = KafkaSource(self.uri, 0, self.reading)

    def epoch(self, max_rows: int = 1_000_000) -> Backlog:
        backlog = self.source.plan(self.positions, max_rows, self.tops, whole=False)
        assert sum(split.rows for split in backlog.splits) <= max_rows
        for split in backlog.splits:
            for frame in self.source.reader().read(split):
                self.rows += frame.select("source", "source_partition", "source_offset", "raw").rows()
                assert frame.height <= split.rows
        self.positions |= backlog.positions
        return backlog

    @property
    def values(self) -> list[bytes | None]:
        return [row[3] for row in self.rows]


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [f"{number}".encode() for number in range(start, start + count)]


@pytest.fixture(params=["python", "confluent"])
def client(request: pytest.FixtureRequest) -> str:
    if request.param == "confluent":
        pytest.importorskip("confluent_kafka")
    return str(request.param)


def test_reads_every_record_once_over_epochs_of_any_size_and_restarts(topics: Topics, client: str) -> None:
    first, second = topics.make(3), topics.make(1)
    for partition in range(3):
        topics.send(first, numbered(40, 100 * partition), partition)
    topics.send(second, numbered(15, 900))
    reader = Reader(topics, first, second, client=client)
    lefts = []
    while reader.epoch(17).splits:
        lefts.append(reader.source.plan(reader.positions, 0, {}, whole=False).left)
        reader.restart()
    assert lefts == [118, 101, 84, 67, 50, 33, 16, 0]
    expected = [(first, part, at, f"{100 * part + at}".encode()) for part in range(3) for at in range(40)]
    expected += [(second, 0, at, f"{900 + at}".encode()) for at in range(15)]
    assert sorted(reader.rows) == sorted(expected)
    assert sorted(mark["number"] for mark in reader.positions.values()) == [0, 1, 2, 3]


def test_aborted_and_open_transactions_are_not_read_and_end_no_range_early(topics: Topics, client: str) -> None:
    name = topics.make()
    topics.send(name, numbered(3))
    topics.send_in_transaction(name, numbered(4, 100), commit=False)
    topics.send_in_transaction(name, numbered(5, 200), commit=True)
    topics.send_in_transaction(name, numbered(6, 300), commit=False)
    reader = Reader(topics, name, client=client)
    with topics.producer(transactional_id=f"open-{name}") as producer:
        producer.init_transactions()
        producer.begin_transaction()
        for value in numbered(7, 400):
            producer.send(name, value=value, partition=0)
        producer.flush()
        backlog = reader.epoch()
        assert backlog.splits[0].rows == 21  # 8 records, 10 aborted, 3 markers: offsets are not rows
        assert backlog.notes["lag"] == {f"{name}/0": 7}, "up to the high watermark"
        assert backlog.notes["blocked"] == {f"{name}/0": 7}
        assert backlog.ended == frozenset(), "what is behind the open transaction may be old"
        assert reader.values == numbered(3) + numbered(5, 200)
        assert not reader.epoch().splits
        producer.commit_transaction()
    wait_until(lambda: reader.epoch().ended == {0})  # the broker writes the marker after it has answered
    assert reader.values[8:] == numbered(7, 400)


def test_rows_behind_an_open_transaction_are_spoken_of(topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    name = topics.make()
    with topics.producer(transactional_id=f"open-{name}") as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(name, value=b"open", partition=0)
        producer.flush()
        topics.send(name, numbered(5))
        reader = Reader(topics, name, bounded=True)
        assert not reader.epoch().splits
        reader.epoch()
        said = capsys.readouterr().err
        assert said == (
            f"--source: {name}/0: a transaction that is open since offset 0 holds up 6 offsets; they are read once it "
            "has ended\n"
        )
        Reader(topics, name).epoch()
        assert not capsys.readouterr().err, "a live job waits for it"


def test_the_newest_record_tells_the_time(topics: Topics) -> None:
    name = topics.make()
    assert Reader(topics, name).epoch().written is None
    topics.send(name, numbered(1), timestamp_ms=1_700_000_000_000)
    topics.send(name, numbered(1), timestamp_ms=1_600_000_000_000)
    assert Reader(topics, name).epoch().written == 1_700_000_000_000


def test_ranges_may_begin_and_end_inside_gaps(topics: Topics, client: str) -> None:
    name = topics.make()
    for start in (0, 100, 200):
        topics.send_in_transaction(name, numbered(5, start), commit=start != 100)
    reader = Reader(topics, name, client=client)
    epochs = 0
    while reader.epoch(3).splits:
        epochs += 1
    assert epochs == 6  # 18 offsets with markers, some epochs without a row
    assert reader.values == numbered(5) + numbered(5, 200)


def test_tombstones_and_empty_values_are_rows(topics: Topics, client: str) -> None:
    name = topics.make()
    topics.send(name, [b"a", None, b"", b"b"], key=b"k")
    reader = Reader(topics, name, client=client)
    reader.epoch()
    assert reader.values == [b"a", None, b"", b"b"]


def test_large_ranges_come_in_batches_of_tens_of_thousands(topics: Topics, client: str) -> None:
    name = topics.make()
    topics.send(name, (b"x" * 20 for _ in range(60_000)))
    source = KafkaSource(f"kafka://{topics.bootstrap}/{name}", 0, Reading(client=client))
    [split] = source.plan({}, 60_000, {}, whole=False).splits
    heights = [frame.height for frame in source.reader().read(split)]
    assert sum(heights) == 60_000
    assert len(heights) == 2
    assert heights[0] >= 50_000


def test_new_partitions_are_read_from_their_first_record_and_renumber_nothing(topics: Topics) -> None:
    first, second = topics.make(2), topics.make(1)
    reader = Reader(topics, first, second, start=parse_start("latest"))
    topics.send(first, [b"before"])
    reader.epoch()
    numbers = {name: mark["number"] for name, mark in reader.positions.items()}
    topics.grow(first, 4)
    topics.send(first, [b"new"], 3)
    reader.restart()
    reader.epoch()
    assert reader.values == [b"new"]
    after = {name: mark["number"] for name, mark in reader.positions.items()}
    assert after == {**numbers, f"{first}/2": 3, f"{first}/3": 4}
    assert numbers == {f"{first}/0": 0, f"{first}/1": 1, f"{second}/0": 2}


def test_latest_means_when_the_driver_first_looked_however_long_nothing_comes(topics: Topics) -> None:
    name = topics.make()
    topics.send(name, numbered(5))
    reader = Reader(topics, name, start=parse_start("latest"))
    reader.source.plan({}, 100, {}, whole=False)  # nothing to read: nothing is sealed, nothing remembered
    topics.send(name, numbered(2, 5))
    reader.epoch()
    assert reader.values == numbered(2, 5)


@pytest.mark.parametrize(
    ("start", "expected"), [("1700000000000", [3, 4]), ("2040-01-01T00:00:00Z", []), ("0", [0, 1, 2, 3, 4])]
)
def test_starts_at_a_time(topics: Topics, start: str, expected: list[int]) -> None:
    name = topics.make()
    for number in range(5):
        topics.send(name, [f"{number}".encode()], timestamp_ms=1_600_000_000_000 + number * 40_000_000_000)
    reader = Reader(topics, name, start=parse_start(start))
    reader.epoch()
    assert reader.values == [f"{number}".encode() for number in expected]


def test_starts_at_given_offsets_and_earliest_elsewhere(topics: Topics) -> None:
    name = topics.make(2)
    topics.send(name, numbered(5), 0)
    topics.send(name, numbered(5, 100), 1)
    reader = Reader(topics, name, start=parse_start(f"{name}/1=3"))
    reader.epoch()
    assert sorted(reader.rows)[5:] == [(name, 1, 3, b"103"), (name, 1, 4, b"104")]
    assert len(reader.rows) == 7


@pytest.mark.parametrize(
    ("place", "said"), [("2=0", "has no partition 2"), ("1=6", "/1 ends at offset 5, before 6"), ("1=5", "")]
)
def test_a_place_to_start_at_that_is_not_there_is_refused(topics: Topics, place: str, said: str) -> None:
    name = topics.make(2)
    topics.send(name, numbered(5), 1)
    reader = Reader(topics, name, start=parse_start(f"{name}/{place}"))
    with pytest.raises(UserError, match=f"--start: {name} ?{said}") if said else nullcontext():
        reader.epoch()
    again = Reader(topics, name)
    again.epoch()
    again.reading = reader.reading
    again.restart()
    again.epoch()  # of a topic that was begun it says nothing


def test_bounded_source_ends_though_records_keep_coming(topics: Topics) -> None:
    name = topics.make(2)
    topics.send(name, numbered(10))
    reader = Reader(topics, name, bounded=True)
    reader.epoch(4)
    topics.send(name, numbered(10, 10))
    topics.send(name, numbered(3), 1)
    backlog = reader.epoch()
    assert (backlog.left, backlog.ended) == (0, {0, 1})
    assert backlog.notes["lag"] == {f"{name}/0": 10, f"{name}/1": 3}
    assert not reader.epoch().splits
    assert reader.values == numbered(10)


def test_deleted_records_are_an_error_that_names_them_or_are_passed_over_and_counted(topics: Topics) -> None:
    name = topics.make()
    topics.send(name, numbered(10))
    reader = Reader(topics, name)
    reader.epoch(4)
    topics.cut(name, 0, 7)
    lost = f"{name}/0: offsets 4 to 6 were deleted before they were read"
    with pytest.raises(JobError, match=rf"--source: {lost}; --on_lost_offsets=continue"):
        reader.epoch()
    reader.reading = Reading(on_lost="continue")
    reader.restart()
    backlog = reader.epoch()
    assert backlog.notes["lost"] == {f"{name}/0": lost}
    assert reader.values == numbered(4) + numbered(3, 7)
    assert "lost" not in reader.epoch().notes


def test_records_deleted_between_plan_and_read_fail_the_epoch(topics: Topics, client: str) -> None:
    name = topics.make()
    topics.send(name, numbered(10))
    source = KafkaSource(f"kafka://{topics.bootstrap}/{name}", 0, Reading(client=client))
    [split] = source.plan({}, 100, {}, whole=False).splits
    topics.cut(name, 0, 5)
    with pytest.raises(JobError, match=f"{name}/0, offsets 0 to 9: these were deleted"):
        list(source.reader().read(split))


def test_topic_made_anew_is_an_error_even_when_it_is_longer_than_before(topics: Topics) -> None:
    name = topics.make()
    topics.send(name, numbered(3))
    reader = Reader(topics, name)
    reader.epoch()
    topics.delete(name)
    with pytest.raises(JobError, match=rf"topic {name} is gone; .* {name}/0 3"):
        reader.epoch()
    topics.make(name=name)
    topics.send(name, numbered(8, 50))
    with pytest.raises(JobError, match=f"{name}/0: the topic was made anew; .* after offset 3 is lost"):
        reader.epoch()
    reader.reading = Reading(on_lost="continue")
    reader.restart()
    reader.epoch()
    assert reader.values == numbered(3) + numbered(8, 50)


def test_partitions_that_a_topic_made_anew_lacks_are_lost_once_and_read_whole_when_they_come(topics: Topics) -> None:
    name = topics.make(2)
    for partition in range(2):
        topics.send(name, numbered(3), partition)
    reader = Reader(topics, name, on_lost="continue")
    reader.epoch()
    topics.delete(name)
    topics.make(name=name)
    lost = "the topic was made anew; what the old one held at and after offset 3 is lost"
    assert reader.epoch().notes["lost"] == {f"{name}/{number}": f"{name}/{number}: {lost}" for number in range(2)}
    reader.reading = Reading()
    reader.restart()
    assert "lost" not in reader.epoch().notes
    topics.grow(name, 2)
    topics.send(name, numbered(4, 10), 1)
    reader.epoch()
    assert [row for row in reader.rows if row[1] == 1][3:] == [
        (f"{name}#2", 1, offset, f"{10 + offset}".encode()) for offset in range(4)
    ]


def test_equal_records_of_a_topic_made_anew_are_other_rows(topics: Topics, client: str) -> None:
    """Bad ones at equal offsets too, after restarts and a third beginning."""
    name = topics.make()
    reader = Reader(topics, name, on_lost="continue", client=client)
    for _ in range(3):
        topics.send(name, [b"no event"] * 3)
        while reader.epoch(2).splits:
            reader.restart()
        topics.delete(name)
        topics.make(name=name)
    assert reader.values == [b"no event"] * 9
    assert [row[0] for row in reader.rows[::3]] == [name, f"{name}#2", f"{name}#3"]
    schema = {"source": pl.String, "source_partition": pl.Int32, "source_offset": pl.Int64, "raw": pl.Binary}
    rows = pl.DataFrame(reader.rows, schema=schema, orient="row")
    letters = DecodeRows(None, EnrichConfig(), lambda _: {}, 60_000)(rows, Clock(1, 0, NOW))["dead_letters"]
    assert letters["id"].n_unique() == 9


def test_the_partition_furthest_behind_gets_most(topics: Topics) -> None:
    name = topics.make(2)
    for partition in range(2):
        topics.send(name, numbered(1000), partition)
    reader = Reader(topics, name)
    reader.epoch(10)
    reader.tops = {0: 5_000, 1: 1_000}
    backlog = reader.epoch(800)
    assert {split.partition: split.rows for split in backlog.splits} == {0: 100, 1: 700}


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("kafka://{0}/absent", "--source: kafka://{0}: there is no topic absent"),
        ("kafka://127.0.0.1:1/t", "--source: kafka://127.0.0.1:1: nobody answers there; .*"),
        ("kafka://{0}", "--source: .*: names no topic; .*"),
        ("kafka://{0}/a b", "--source: .*: 'a b' is no name of a topic .*"),
        ("kafka://shop/t", "--source: .*: 'shop' is no host:port"),
        ("kafka://shop:geheim@{0}/t", "--source: a user or password does not belong into a URI; see --kafka_config"),
    ],
)
def test_wrong_addresses_are_one_line(topics: Topics, uri: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecompulse.io.kafka.cluster.CONNECT_MS", 1000)
    with pytest.raises(JobError if "nobody" in said else UserError, match=rf"^{said.format(topics.bootstrap)}$"):
        KafkaSource(uri.format(topics.bootstrap), 0).check()
