"""Runs against dictionaries, with fingerprints so few that keys share their first half, and now and then all of it."""

import itertools

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.runs import HI, LIVE, LO, Run, compact, latest, lookup, make_run, merge
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.key_hashes import KeyHashes
from ecompulse.kernels.step import Table
from support.examples import examples

KEY = st.tuples(st.integers(0, 3), st.integers(0, 2))
CHANGE = st.dictionaries(KEY, st.lists(st.tuples(st.integers(0, 99), st.none() | st.integers(0, 9)), max_size=3))
Change = dict[tuple[int, int], list[tuple[int, int | None]]]
TABLE = Table("t", pl.Schema({"key": pl.String(), "n": pl.Int64()}), key="key")


def run_of(change: Change) -> Run:
    """Rows of each key in their order, a mark for a key without rows."""
    rows = []
    for (hi, lo), group in sorted(change.items()):
        rows += [(n, expires, hi, lo, True) for n, expires in group] or [(None, None, hi, lo, False)]
    schema = {"n": pl.Int64, "expires": pl.Int64, HI: pl.UInt64, LO: pl.UInt64, LIVE: pl.Boolean}
    return Run(pl.DataFrame(rows, schema, orient="row"))


def told(frame: pl.DataFrame | None) -> list[tuple]:
    return [] if frame is None else frame.select(HI, LO, "n", "expires", LIVE).rows()


def over(changes: list[Change]) -> Change:
    """What stands after all of them, marks included."""
    found: Change = {}
    for change in changes:
        found |= change
    return found


def lasting(change: Change, watermark: int) -> Change:
    kept = {key: [row for row in group if row[1] is not None and row[1] > watermark] for key, group in change.items()}
    return {key: group for key, group in kept.items() if group}


@examples(200)
@given(st.lists(CHANGE, min_size=1, max_size=5), st.integers(-1, 9), st.booleans())
def test_a_merge_is_what_dictionaries_say(changes, watermark, expiring):
    runs, whole = [run_of(change) for change in changes], over(changes)
    above = merge(runs, bottom=False, expires="expires", watermark=watermark)
    assert told(above.frame) == told(run_of(whole).frame), "marks and expired rows stay while older runs may know them"
    bottom = merge(runs, bottom=True, expires="expires" if expiring else None, watermark=watermark)
    wanted = lasting(whole, watermark) if expiring else {key: group for key, group in whole.items() if group}
    assert told(bottom.frame) == told(run_of(wanted).frame)
    assert told(latest(runs)) == told(run_of({key: group for key, group in whole.items() if group}).frame)


@examples(200)
@given(st.lists(CHANGE, min_size=1, max_size=6), st.integers(-1, 9), st.lists(KEY))
def test_compaction_changes_no_answer(changes, watermark, asked):
    runs: list[Run] = []
    for change in changes:
        stack = [*runs, run_of(change)]
        kept, fresh = compact(stack, expires="expires", watermark=watermark)
        runs = [*stack[:kept], *fresh]
    heights = [run.frame.height for run in runs]
    assert all(older >= 2 * newer for older, newer in itertools.pairwise(heights))
    key_hashes = pl.DataFrame(asked, {"hi": pl.UInt64, "lo": pl.UInt64}, orient="row")
    found = lookup(runs, pl.concat([key_hashes, key_hashes.clear(1)]))
    assert found is not None
    found = found.filter(pl.col("expires") > watermark)
    wanted = {key: group for key, group in lasting(over(changes), watermark).items() if key in asked}
    assert sorted(told(found)) == sorted(told(run_of(wanted).frame))


@examples(100)
@given(CHANGE, st.lists(KEY, unique=True))
def test_a_run_finds_rows_and_knows_marks(change, asked):
    run = run_of(change)
    key_hashes = pl.DataFrame(asked, {"hi": pl.UInt64, "lo": pl.UInt64}, orient="row")
    places, known = run.find(KeyHashes.of(key_hashes))
    assert known.tolist() == [key in change for key in asked]
    assert told(run.frame[places]) == [
        (*key, n, expires, True) for key in asked for n, expires in change.get(key, [])
    ]  # fmt: skip


@examples(100)
@given(st.lists(st.tuples(st.sampled_from([*"abcdef", None]), st.integers(0, 9))), st.lists(st.sampled_from("abcdef")))
def test_a_change_is_its_rows_and_marks_for_keys_without(rows, more):
    frame = pl.DataFrame(rows, TABLE.schema, orient="row")
    keys = pl.concat([frame["key"], pl.Series(more, dtype=pl.String)])
    run = make_run(TABLE, keys, frame)
    assert run.frame.equals(run.frame.sort(HI, LO, maintain_order=True))
    live = run.frame.filter(LIVE)
    for key in "abcdef":
        assert live.filter(key=key)["n"].to_list() == [n for name, n in rows if name == key], "in the order given"
    marked = run.frame.filter(~pl.col(LIVE)).select(hi=HI, lo=LO)
    wanted = fingerprint(pl.Series(sorted(set(more) - {name for name, _ in rows}), dtype=pl.String))
    assert marked.equals(wanted.sort("hi", "lo"))
    assert make_run(TABLE, frame["key"], frame).frame.equals(live)
