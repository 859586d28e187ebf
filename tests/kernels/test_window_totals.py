"""Windows that only a drain has closed are given out once more, whole, when rows come after all."""

from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ecompulse.kernels.event import TIME
from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA, TotalQuality
from ecompulse.kernels.step import END_OF_TIME, Clock
from ecompulse.kernels.window_totals import TotalRows
from support.examples import examples
from support.harness import MemoryState

KERNEL = TotalQuality(60_000)


def part(start, count):
    rows = [(start, "late", "sessions", count, count)]
    schema = {**PARTIAL_SCHEMA, "window_start": pl.Int64()}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.col("window_start").cast(PARTIAL_SCHEMA["window_start"])
    )


class Shard:
    def __init__(self) -> None:
        self.state = MemoryState({table.name: table for table in KERNEL.tables})
        self.epoch = 0

    def step(self, batch, watermark):
        self.epoch += 1
        step = KERNEL.step(self.state, batch, Clock(self.epoch, watermark, 0))
        for name, change in step.changes.items():
            self.state.apply(name, change)
        self.state.watermark = watermark if watermark < END_OF_TIME else self.state.watermark
        return step.outputs["data_quality"].select("count", "revision").rows()


NONE = part(0, 0).clear()


def test_a_drained_window_that_gets_rows_comes_out_again_whole():
    shard = Shard()
    assert shard.step(part(0, 2), -1) == []
    assert shard.step(NONE, END_OF_TIME) == [(2, 1)]
    assert shard.step(part(0, 3), 30_000) == []
    assert shard.step(NONE, 60_000) == [(5, 2)]
    assert shard.state.rows["counts"].height == 0


def test_a_drained_window_without_more_rows_is_not_repeated():
    shard = Shard()
    shard.step(part(0, 2), -1)
    assert shard.step(NONE, END_OF_TIME) == [(2, 1)]
    assert shard.state.next_due() is None, "a drain must come to an end"
    assert shard.step(part(600_000, 1), 120_000) == []
    assert shard.step(NONE, END_OF_TIME) == [(1, 1)]


def test_a_watermark_that_leaps_over_a_month_loses_no_window():
    shard = Shard()
    shard.step(part(0, 2), -1)
    assert shard.step(NONE, 31 * 86_400_000) == [(2, 1)]


def test_two_drains_with_rows_between_them():
    shard = Shard()
    shard.step(part(0, 2), -1)
    shard.step(NONE, END_OF_TIME)
    shard.step(part(0, 1), 10_000)
    assert shard.step(NONE, END_OF_TIME) == [(3, 2)]


MINUTE = 60_000
PAGES = TotalRows("pages", ("page",), ("rows",), window=MINUTE, revise=True)


@examples(40)
@given(st.data())
def test_the_last_revision_of_each_window_is_its_whole_sum_in_any_cut(data):
    """However late a row comes within a week; a page may be unknown."""
    row = st.tuples(st.integers(0, 3 * MINUTE), st.sampled_from(["a", "b", "", None]), st.integers(1, 5))
    rows = data.draw(st.lists(row, max_size=20))
    schema = {"window_start": pl.Int64, "page": pl.String, "rows": pl.Int64}
    whole = pl.DataFrame([(at // MINUTE * MINUTE, page, n) for at, page, n in rows], schema=schema, orient="row")
    parts = whole.with_columns(pl.col("window_start").cast(TIME))
    state, shown = MemoryState({table.name: table for table in PAGES.tables}), []
    at_rows = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    watermarks = sorted(data.draw(st.lists(st.integers(0, 5 * MINUTE), min_size=5, max_size=5)))
    bounds = [0, *at_rows, len(rows)]
    steps = [(parts[start:stop], mark) for (start, stop), mark in zip(pairwise(bounds), watermarks, strict=False)]
    for epoch, (batch, watermark) in enumerate([*steps, (parts.clear(), END_OF_TIME)], start=1):
        step = PAGES.step(state, batch, Clock(epoch, watermark, 0))
        shown.append(step.outputs["pages"])
        state.apply("counts", step.changes["counts"])
    found = pl.concat(shown)
    assert found.group_by("id").agg(pl.col("revision").is_unique().all())["revision"].all()
    last = found.sort("revision").unique("id", keep="last").select("window_start", "page", "rows")
    expected = parts.group_by("window_start", "page").agg(pl.col("rows").sum())
    assert_frame_equal(last, expected, check_row_order=False)
