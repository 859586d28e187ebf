"""Runs against the plainest state there is, and the cost and damage of files."""

import tempfile
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ecompulse.epochs import runs as runs_module
from ecompulse.epochs import state as state_module
from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.runs import lookup, make_run
from ecompulse.epochs.state import Head, ShardState
from ecompulse.epochs.state_cache import StateCache
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, Table
from support.examples import examples
from support.harness import MemoryState
from support.keeper import Keeper

SCHEMA = pl.Schema({"key": pl.String(), "n": pl.Int64(), "due": pl.Int64(), "expires": pl.Int64()})
TABLE = Table("t", SCHEMA, key="key", due="due", expires="expires")


KEEPER = Keeper((TABLE,))


def frame(rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


keys = st.sampled_from([f"k{n}" for n in range(8)])
changes = st.lists(
    st.dictionaries(keys, st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20), st.integers(1, 40)), max_size=3)),
    max_size=8,
)


def crowded(key: pl.Series) -> pl.DataFrame:
    """Fingerprints of which many share the first half."""
    return fingerprint(key).with_columns(hi=pl.col("hi") % 2)


@examples(60)
@given(changes, st.sampled_from([fingerprint, crowded]), st.data())
def test_runs_equal_a_plain_table(steps, key_hashes, data):
    """Any sequence of changes, reloaded from files each time: same rows by key and by due time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(state_module, "fingerprint", key_hashes),
        mock.patch.object(runs_module, "fingerprint", key_hashes),
    ):
        store, head = LocalStore(folder), Head()
        oracle = MemoryState({"t": TABLE})
        for number, change in enumerate(steps, start=1):
            clock = Clock(number, watermark=number, now=0)
            oracle.watermark = number - 1  # of the step before
            rows = frame(
                [(key, n, number + due, number + lasts) for key, group in change.items() for n, due, lasts in group]
            )
            wanted = Change(pl.Series("key", list(change), dtype=pl.String), rows)
            state_module._cache = StateCache()  # a worker that has never seen this state
            state = ShardState(KEEPER, clock, Head.load(head.dump()), store)
            asked = pl.Series(data.draw(st.lists(keys)), dtype=pl.String)
            assert_frame_equal(
                state.lookup("t", asked).sort(pl.all()), oracle.lookup("t", asked.unique()).sort(pl.all())
            )
            ripe = state.due("t", number)
            assert_frame_equal(ripe.sort(pl.all()), oracle.due("t", number).sort(pl.all()))
            oracle.apply("t", Change(ripe["key"].unique(), ripe.clear()))
            oracle.apply("t", wanted)
            gone = ripe.filter(~pl.col("key").is_in(wanted.keys.implode()))["key"].unique()
            merged = Change(pl.concat([wanted.keys, gone]), wanted.rows)
            head = state.apply("keeper", 0, "a", {"t": merged})


def test_a_key_shared_in_half_its_fingerprint_is_not_mixed_up():
    run = make_run(TABLE, pl.Series(["a", "b"]), frame([("a", 1, 5, 9), ("b", 2, 5, 9)]))
    same_hi = run.frame.with_columns(__hi=pl.lit(7, pl.UInt64)).sort("__hi", "__lo")
    crowded = type(run)(same_hi)
    wanted = fingerprint(pl.Series(["b"])).with_columns(hi=pl.lit(7, pl.UInt64))
    found = lookup([crowded], wanted)
    assert found is not None
    assert found["key"].to_list() == ["b"]


@pytest.mark.parametrize("key_hashes", [fingerprint, crowded])
def test_keys_that_are_not_kept_are_named_again(monkeypatch, key_hashes):
    monkeypatch.setattr(state_module, "fingerprint", key_hashes)
    monkeypatch.setattr(runs_module, "fingerprint", key_hashes)
    table = Table("t", SCHEMA, key="key", keep_key=False)
    state = ShardState(Keeper(tables=(table,)), Clock(1, 0, 0))
    names = [f"k{number}" for number in range(20)]
    rows = frame([(name, number, 1, 1) for number, name in enumerate(names)] * 2)
    state.keep({"t": Change(pl.Series(names), rows)})
    found = state.lookup("t", pl.Series(["k7", None, "other", "k3", "k7", "k12"]))
    assert sorted(found["key"]) == sorted(["k3", "k7", "k12"] * 2)
    assert_frame_equal(found.unique().sort("n"), rows.filter(pl.col("n").is_in([3, 7, 12])).unique().sort("n"))


def test_number_of_runs_follows_the_logarithm(tmp_path):
    store, head = LocalStore(str(tmp_path)), Head()
    for number in range(1, 65):
        change = Change(pl.Series([f"k{number}"]), frame([(f"k{number}", 1, 10**9, 10**9)]))
        state = ShardState(KEEPER, Clock(number, 0, 0), head, store)
        head = state.apply("keeper", 0, "a", {"t": change})
    assert len(head.tables["t"]) <= 7
    assert sum(ref.rows for ref in head.tables["t"]) == 64


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_harmed_file_is_named(tmp_path, harm):
    store = LocalStore(str(tmp_path))
    change = Change(pl.Series(["k"]), frame([("k", 1, 10, 10)]))
    head = ShardState(KEEPER, Clock(1, 0, 0), Head(), store).apply("keeper", 3, "a", {"t": change})
    path = tmp_path / head.tables["t"][0].file
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    state_module._cache = StateCache()
    with pytest.raises(StateDamaged, match=rf"state/keeper/00003/.*{harm}"):
        ShardState(KEEPER, Clock(2, 0, 0), head, store).lookup("t", pl.Series(["k"]))


def test_draining_does_not_age_what_is_remembered(tmp_path):
    store = LocalStore(str(tmp_path))
    change = Change(pl.Series(["k"]), frame([("k", 1, None, 10)]))
    head = ShardState(KEEPER, Clock(1, 5, 0), Head(), store).apply("keeper", 0, "a", {"t": change})
    drained = ShardState(KEEPER, Clock(2, END_OF_TIME, 0), head, store)
    assert drained.lookup("t", pl.Series(["k"])).height == 1
    leaping = ShardState(KEEPER, Clock(2, 10, 0), head, store)
    assert leaping.lookup("t", pl.Series(["k"])).height == 1, "the step that the watermark leaps in still sees it"
    head = leaping.apply("keeper", 0, "a", {})
    assert ShardState(KEEPER, Clock(3, 11, 0), head, store).lookup("t", pl.Series(["k"])).height == 0


def test_the_cache_is_bounded():
    cache = StateCache(limit=1)
    run = make_run(TABLE, pl.Series(["a"]), frame([("a", 1, 5, 9)]))
    cache.put("x", run)
    cache.put("y", run)
    assert cache.get("x") is None
    assert cache.get("y") is run
