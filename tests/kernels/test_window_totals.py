"""Windows that only a drain has closed are given out once more, whole, when rows come after all."""

import polars as pl

from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA, TotalQuality
from ecompulse.kernels.step import END_OF_TIME, Clock
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
