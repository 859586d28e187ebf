"""Splits that are read together: few batches to decode, and each split told for itself."""

import json
from collections import Counter
from dataclasses import asdict

import apache_beam as beam
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs import reading
from ecompulse.epochs.counted import FACTS
from ecompulse.epochs.protocols import EVENTS, Split
from ecompulse.epochs.reading import JOINED_ROWS, ReadRows, grouped
from ecompulse.kernels.event import POSITION_SCHEMA, TIME
from ecompulse.kernels.step import Clock
from support.examples import examples

CLOCK = Clock(epoch=1, watermark=-1, now=10_000_000)
ROLES = st.sampled_from([EVENTS, "user_updates"])
SPLITS = st.lists(
    st.tuples(ROLES, st.integers(0, 2), st.integers(0, 400), st.booleans()), max_size=25
)  # role, partition, rows, whether it has a header
SOURCES = {EVENTS: 0, "user_updates": 1}


class Rows:
    """A reader of the rows that a split's range says, each with its offset for a time."""

    def read(self, split):
        columns = {
            "source": pl.Series([split.uri] * split.rows, dtype=POSITION_SCHEMA["source"]),
            "source_partition": pl.Series([split.partition] * split.rows, dtype=POSITION_SCHEMA["source_partition"]),
            "source_offset": pl.Series(range(split.start, split.end), dtype=POSITION_SCHEMA["source_offset"]),
        }
        yield pl.DataFrame(
            columns | ({"header": [f"h{split.partition}"] * split.rows} if split.uri.endswith("csv") else {})
        )


def decode(rows, clock):
    assert "header" not in rows.columns or rows["header"].n_unique() <= 1, "rows of one header are decoded by it"
    times = rows.with_columns(event_time=pl.col("source_offset").cast(TIME))
    return {
        EVENTS: times.filter(pl.col("source_offset") % 3 != 0),
        "dead": times.filter(pl.col("source_offset") % 3 == 0),
    }


def splits_of(drawn) -> list[Split]:
    found, at = [], Counter()
    for role, partition, rows, header in drawn:
        start = at[role, partition]
        at[role, partition] += rows
        uri = f"file{partition}.{'csv' if header else 'jsonl'}"
        found.append(Split(SOURCES[role], partition, uri, start, start + rows, rows))
    return found


def test_small_splits_go_together_and_a_large_one_alone():
    sizes = [30_000, 30_000, 30_000, 60_000, 1]
    found = grouped([Split(0, 0, "a", 0, rows, rows) for rows in sizes], [EVENTS] * 5, threads=4)
    assert [group for _, group in found] == [[0, 1], [2], [3], [4]]


@pytest.mark.parametrize(
    ("threads", "sizes", "wanted"),
    [
        (1, [25_000] * 8, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (2, [25_000] * 8, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (2, [47_500] * 4, [[0, 1], [2, 3]]),
        (4, [25_000] * 8, [[0, 1], [2, 3], [4, 5], [6, 7]]),
        (200, [25_000] * 4, [[0, 1], [2, 3]]),
        (2, [10] * 3, [[0, 1, 2]]),
        (2, [1_000_000, 5], [[0], [1]]),
        (1, [0, 0], [[0, 1]]),
    ],
)
def test_groups_are_large_as_long_as_every_thread_gets_one(threads, sizes, wanted):
    splits = [Split(0, 0, "a", 0, rows, rows) for rows in sizes]
    assert [group for _, group in grouped(splits, [EVENTS] * len(sizes), threads)] == wanted


def test_streams_beside_the_events_go_together_by_partition_and_sources_never():
    splits = [Split(source, partition, "a", 0, 5, 5) for source in (0, 1) for partition in (0, 1) for _ in range(2)]
    assert [group for _, group in grouped(splits, [EVENTS] * 8)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [group for _, group in grouped(splits, ["labels"] * 8)] == [[0, 1], [2, 3], [4, 5], [6, 7]]


@examples(60)
@given(drawn=SPLITS, limit=st.sampled_from([1, 50, 300, JOINED_ROWS]))
def test_what_is_read_and_told_is_that_of_every_split_alone(drawn, limit):
    splits, roles = splits_of(drawn), [role for role, *_ in drawn]
    before, reading.JOINED_ROWS = reading.JOINED_ROWS, limit
    try:
        groups = list(grouped(splits, roles))
        assert sorted(index for _, group in groups for index in group) == list(range(len(splits)))
        facts, rows = read(splits, groups)
    finally:
        reading.JOINED_ROWS = before
    assert Counter(fact["split"] for fact in facts) == Counter(range(len(splits)))
    assert all(fact["rows"] == splits[fact["split"]].rows for fact in facts)
    tops: dict[str, int] = {}
    for fact in facts:
        if fact["top"] is not None:
            tops[fact["read"]] = max(tops.get(fact["read"], 0), fact["top"])
    wanted: dict[str, int] = {}
    for split in splits:
        times = [at for at in range(split.start, split.end) if at % 3]
        if times:
            wanted[f"{split.source}/{split.partition}"] = max(times)
    assert tops == wanted
    assert rows == sum((Counter(whole(split)) for split in splits), Counter())
    counted = sum((Counter(fact["counts"]) for fact in facts), Counter())
    assert counted[EVENTS] + counted["dead"] == sum(split.rows for split in splits)


def whole(split):
    return [(split.source, split.uri, split.partition, at) for at in range(split.start, split.end)]


def read(splits, groups):
    facts, rows = [], Counter()
    for role, group in groups:
        fn = ReadRows([Rows() if SOURCES[role] == number else None for number in range(2)], decode, aged=False)
        fn.start_bundle()
        wanted = [[index, asdict(splits[index])] for index in group]
        for found in fn.process(json.dumps([wanted, CLOCK.__dict__]).encode()):
            assert isinstance(found, beam.pvalue.TaggedOutput)
            if found.tag == FACTS:
                facts.append(json.loads(found.value[1]))
            else:
                places = found.value.select("source", "source_partition", "source_offset").rows()
                rows.update((SOURCES[role], *place) for place in places)
    return facts, rows
