"""Ordered lists in files, against a plain list."""

import tempfile

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs import state as state_module
from ecompulse.epochs.checkpoint_admin import _reshard_operator
from ecompulse.epochs.ordered_lists import Chunk
from ecompulse.epochs.runs import make_run
from ecompulse.epochs.state import Head, ShardState
from ecompulse.epochs.state_cache import StateCache
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.hashing import shard_of
from ecompulse.kernels.rows import DUE
from ecompulse.kernels.step import END_OF_TIME, Clock, OrderedList, Table, Wait
from support.examples import examples
from support.keeper import Keeper

COLUMNS = pl.Schema({"key": pl.String(), "n": pl.Int64()})
WAITING = OrderedList("waiting", COLUMNS, shard_by="key")


KEEPER = Keeper((WAITING,))


def rows(*cells: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(cells, schema=WAITING.schema, orient="row")


def stepped(store, head, epoch, watermark, added):
    """Rows that a step is given, and the head after it; as a worker that has never seen this state."""
    state_module._cache = StateCache()
    state = ShardState(KEEPER, Clock(epoch, watermark, 0), Head.load(head.dump()), store)
    given_rows = state.due("waiting", watermark)
    return given_rows, state.apply("keeper", 0, "a", {"waiting": Wait(added)})


@examples(60)
@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(1, 30), max_size=6)), max_size=10))
def test_each_row_is_given_once_when_the_watermark_reaches_it(steps):
    with tempfile.TemporaryDirectory() as folder:
        store, head, watermark, number = LocalStore(folder), Head(), 0, 0
        waiting, dues = [], []
        for epoch, (advance, lasts) in enumerate([*steps, (END_OF_TIME, [])], start=1):
            watermark = min(watermark + advance, END_OF_TIME)
            added = [(f"k{number + n}", number + n, watermark + last) for n, last in enumerate(lasts)]
            number += len(lasts)
            found, head = stepped(store, head, epoch, watermark, rows(*added))
            assert sorted(found.rows()) == sorted(row for row in waiting if row[2] <= watermark)
            waiting = [row for row in waiting if row[2] > watermark] + added
            dues = [row[2] for row in waiting]
            assert head.due == min(dues, default=None)
        assert head.tables == {}, "a drained list leaves nothing behind"


def test_a_step_writes_what_it_adds_and_no_more(tmp_path):
    store = LocalStore(str(tmp_path))
    _, head = stepped(store, Head(), 1, 0, rows(*((f"k{n}", n, 100 + n) for n in range(64))))
    first = head.tables["waiting"]
    _, head = stepped(store, head, 2, 110, rows(("x", 1, 500)))
    assert head.tables["waiting"][0] == first[0], "rows that are gone are not taken out of their file"
    assert [ref.rows for ref in head.tables["waiting"]] == [64, 1]
    _, head = stepped(store, head, 3, 400, rows())
    assert [ref.rows for ref in head.tables["waiting"]] == [1]


def test_the_number_of_files_follows_the_logarithm(tmp_path):
    store, head = LocalStore(str(tmp_path)), Head()
    for epoch in range(1, 65):
        _, head = stepped(store, head, epoch, 0, rows((f"k{epoch}", epoch, 10**9)))
    assert len(head.tables["waiting"]) <= 7
    assert sum(ref.rows for ref in head.tables["waiting"]) == 64


def test_rows_stored_before_the_list_was_one_are_still_given(tmp_path):
    """A checkpoint of before has them in a keyed table, with marks of deleted keys."""
    table = Table("waiting", pl.Schema({"_row": pl.String(), **WAITING.schema}), key="_row", due=DUE, shard_by="key")
    store, refs = LocalStore(str(tmp_path)), []
    there = pl.DataFrame([("a", "k1", 1, 50), ("b", "k2", 2, 60)], schema=table.schema, orient="row")
    for number, (keys, content) in enumerate([(["a", "b"], there), (["a"], there.clear())]):
        run = make_run(table, pl.Series(keys), content)
        ref = ShardState(KEEPER, Clock(number, 0, 0), Head(), store)._write(f"state/{number}", run)
        refs.append(ref)
    found, head = stepped(store, Head({"waiting": refs}, 50, 0), 3, 55, rows(("k3", 3, 70)))
    assert found.is_empty()
    found, head = stepped(store, head, 4, 65, rows())
    assert found.rows() == [("k2", 2, 60)]
    assert [ref.shard_by for ref in head.tables["waiting"]] == ["key"]


def test_a_chunk_with_a_new_column(tmp_path):
    store = LocalStore(str(tmp_path))
    old = Chunk(pl.DataFrame({"key": ["k"], DUE: [5]}))
    ref = ShardState(KEEPER, Clock(1, 0, 0), Head(), store)._write("state/x", old, "key")
    found, _ = stepped(store, Head({"waiting": [ref]}, 5, 0), 2, 9, rows())
    assert found.rows() == [("k", None, 5)]


def test_resharding_moves_the_rows_that_still_wait_to_the_shards_of_their_keys(tmp_path):
    store, target = LocalStore(str(tmp_path / "old")), LocalStore(str(tmp_path / "new"))
    _, head = stepped(store, Head(), 1, 0, rows(*((f"k{n}", n, 10 + n) for n in range(20))))
    _, head = stepped(store, head, 2, 15, rows(("x", 99, 50)))
    fresh = _reshard_operator("keeper", {"0": head.dump(), "1": Head(stepped=15).dump()}, 3, store, target, 2)
    found = []
    for number in range(3):
        state_module._cache = StateCache()
        moved = ShardState(KEEPER, Clock(3, END_OF_TIME, 0), Head.load(fresh[str(number)]), target)
        mine = moved.due("waiting", END_OF_TIME)
        assert set(shard_of(mine["key"], 3)) <= {number}
        found += mine.rows()
    assert sorted(found) == sorted([("x", 99, 50), *((f"k{n}", n, 10 + n) for n in range(6, 20))])
