"""The inbox of dead letters: queued once each, read in order, cut where an epoch ends."""

import threading
from datetime import UTC, datetime

import polars as pl
import pytest

from ecompulse.epochs.protocols import EVENTS, REPLAY
from ecompulse.epochs.replay import LETTERS, ReplaySource, due, ledger, queue, reads_as
from ecompulse.io.stores import LocalStore


def letters(*offsets: int, seen: int = 1, header: str | None = None) -> pl.DataFrame:
    rows = [
        {"raw": b"%d" % at, "source": "f", "source_partition": 0, "source_offset": at, "header": header,
         "seen_at": datetime.fromtimestamp(seen, UTC)}
        for at in offsets
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=LETTERS)


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path))


def put(store: LocalStore, found: pl.DataFrame) -> int:
    return queue(store, lambda replayed: due(found, replayed))


def test_a_letter_is_queued_once_and_again_when_its_row_has_died_again(store):
    assert put(store, letters(3, 1, 2)) == 3
    assert put(store, letters(1, 2, 3)) == 0
    assert put(store, letters(1, 4)) == 1
    assert put(store, pl.concat([letters(1, 2), letters(2, seen=5)])) == 1
    assert put(store, letters(2, seen=5)) == 0
    assert ledger(store).height == 4


def test_two_who_queue_at_once_queue_each_letter_once(store):
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(put(store, letters(*range(50))))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 0, 0, 50]


def test_letters_are_read_in_order_within_the_limit_and_never_again(store):
    source = ReplaySource(store, 2)
    assert source.plan({}, 10, {}, whole=False).partitions == frozenset()
    put(store, letters(3, 1, 2))
    put(store, letters(5, 4))
    known: dict[str, int] = {}
    seen: list[int] = []
    lefts = []
    for limit in (2, 0, 2, 2, 2):
        backlog = source.plan(known, limit, {}, whole=True)
        assert sum(split.rows for split in backlog.splits) <= limit
        assert bool(backlog.ended) == (backlog.left == 0)
        lefts.append(backlog.left)
        for split in backlog.splits:
            seen += [int(raw) for batch in source.reader().read(split) for raw in batch["raw"]]
        known.update(backlog.positions)
    assert seen == [1, 2, 3, 4, 5]
    assert lefts == [3, 3, 1, 0, 0]


def test_rows_of_one_header_come_together_as_they_were(store):
    put(store, pl.concat([letters(1), letters(2, 3, header="a,b"), letters(4, header="c")]))
    source = ReplaySource(store, 0)
    [split] = source.plan({}, 10, {}, whole=False).splits
    batches = list(source.reader().read(split))
    assert [batch.columns for batch in batches] == [
        ["raw", "source", "source_partition", "source_offset"],
        ["raw", "source", "source_partition", "source_offset", "header"],
        ["raw", "source", "source_partition", "source_offset", "header"],
    ]
    assert [batch["source_offset"].to_list() for batch in batches] == [[1], [2, 3], [4]]


def test_replayed_rows_are_read_as_events():
    assert [reads_as(role) for role in (EVENTS, REPLAY, "user_updates")] == [EVENTS, EVENTS, "user_updates"]
