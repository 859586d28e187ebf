"""Data quality per window: partial counts from everywhere, summed until their window closes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.step import END_OF_TIME, Clock, StateView, Step, Table
from ecompulse.kernels.window_totals import COUNTS, add_up, counts_table, key_of

PARTIAL_SCHEMA: Final = pl.Schema(
    {"window_start": TIME, "check_name": pl.String(), "subject": pl.String(), "count": pl.Int64(), "rows": pl.Int64()}
)
"""Counts of one batch: `check` (schema_violation, null_rate, unknown_type, duplicate, late ...), `subject` (rule or
field), `count` of the `rows` looked at."""

TOTALS_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "window_start": TIME,
        "window_end": TIME,
        "check_name": pl.String(),
        "subject": pl.String(),
        "count": pl.Int64(),
        "rows": pl.Int64(),
        "revision": pl.Int64(),
    }
)


@dataclass(frozen=True)
class TotalQuality:
    """Sums partial counts per window, check and subject; a window's rows come out once, when the watermark passes.

    Keyed by window: a handful of rows each, dropped when they are out. Counts that belong to a window that has
    closed must be booked into the first open one by whoever makes them (`book`), so nothing is late here.
    """

    window_ms: int
    name: str = "data_quality"
    version: int = 1
    inputs: pl.Schema = field(default_factory=lambda: PARTIAL_SCHEMA)
    outputs: Mapping[str, pl.Schema] = field(default_factory=lambda: {"data_quality": TOTALS_SCHEMA})
    tables: tuple[Table, ...] = (counts_table(PARTIAL_SCHEMA),)

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The window."""
        return key_of(batch, ("window_start",))

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Add the batch; give out what has closed."""
        closed, change = add_up(
            state,
            batch.select(PARTIAL_SCHEMA.names()),
            self.key,
            ("count", "rows"),
            clock,
            self.window_ms,
            named=("window_start",),
        )
        rows = closed.with_columns(
            id=row_id(pl.col("window_start").cast(pl.Int64), "check_name", "subject"),
            window_end=pl.col("window_start") + pl.duration(milliseconds=self.window_ms),
        )
        return Step({"data_quality": rows.select(list(TOTALS_SCHEMA)).sort("id")}, {COUNTS: change})


def count_late(late: pl.DataFrame, window_ms: int) -> pl.DataFrame:
    """Late rows (`operator`, `late_by_ms`, `event_time`) per operator, booked when they came (PARTIAL_SCHEMA)."""
    came = (pl.col("event_time").dt.epoch("ms") + pl.col("late_by_ms")) // window_ms * window_ms
    counted = late.group_by(came.cast(TIME).alias("window_start"), pl.col("operator").alias("subject"))
    rows = counted.agg(count=pl.len().cast(pl.Int64)).with_columns(check_name=pl.lit("late"), rows=pl.col("count"))
    return rows.select(PARTIAL_SCHEMA.names())


def book(partial: pl.DataFrame, window_ms: int, watermark: int) -> pl.DataFrame:
    """Partial counts (PARTIAL_SCHEMA) with windows that have closed moved into the first that is open.

    What a drain has let out is of windows that no watermark before it has closed.
    """
    first_open = max(0, watermark) // window_ms * window_ms if watermark < END_OF_TIME else 0
    start = pl.max_horizontal(pl.col("window_start").dt.epoch("ms"), pl.lit(first_open))
    return partial.with_columns(window_start=start.cast(TIME))


def book_under(partial: pl.DataFrame, clock: Clock, window_ms: int) -> pl.DataFrame:
    """`book` at the watermark of the clock under which the counts are summed."""
    return book(partial, window_ms, clock.watermark)
