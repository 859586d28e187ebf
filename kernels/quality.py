"""Data quality per window of event time: broken rules, nulls, unknown types; partial counts add up.

Source of the measures: `cli.md`, table `data_quality`. Duplicates and late rows are counted where they are
found, not here. Nothing is kept: a caller adds the counts of epochs with `merge_quality`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import polars as pl

from ecompulse.kernels.decode.rules import Rule
from ecompulse.kernels.event import FIELDS, TIME
from ecompulse.kernels.rows import no_rows

QUALITY_SCHEMA: Final = pl.Schema(
    {"window_start": TIME, "check_name": pl.String(), "subject": pl.String(), "count": pl.Int64(), "rows": pl.Int64()}
)
"""Columns of counts: `count` of `rows` looked at failed `check` in the window that begins at `window_start`."""

KEY: Final = ("window_start", "check_name", "subject")


class Check(StrEnum):
    """What is counted."""

    SCHEMA_VIOLATION = "schema_violation"
    """Dead letters, by rule; of all rows."""
    NULL_RATE = "null_rate"
    """Nulls, by optional field; of good rows."""
    UNKNOWN_TYPE = "unknown_type"
    """Values outside the known ones, by field that has some; of good rows."""


def quality_counts(
    events: pl.DataFrame,
    dead: pl.DataFrame,
    window_ms: int,
    now_ms: int,
    first_open_ms: int,
    dead_times: pl.Series | None = None,
) -> pl.DataFrame:
    """Counts of one batch (`QUALITY_SCHEMA`), sorted; every check of every window that has a row, zeros too.

    Args:
        events: good rows (`FRAME_SCHEMA`).
        dead: dead letters of the same rows (`DEAD_LETTER_SCHEMA`).
        window_ms: length of the windows, which begin at multiples of it since 1970.
        now_ms: processing time (UTC ms); a dead row without a time counts in its window.
        first_open_ms: begin of the first window still open; earlier rows count there.
        dead_times: event time by dead row as `Decoded` has it; none = all count in the window of now.

    Raises:
        ValueError: when window_ms is not positive.
    """
    if window_ms <= 0:
        raise ValueError(f"window_ms must be positive, not {window_ms}")

    def window(time: pl.Expr) -> pl.Expr:
        start = time.dt.epoch("ms").fill_null(now_ms) // window_ms * window_ms
        return pl.max_horizontal(start, pl.lit(first_open_ms, pl.Int64)).alias("window_start")

    times = pl.repeat(None, dead.height, dtype=TIME, eager=True) if dead_times is None else dead_times.cast(TIME)
    counted = dead.select("rule", window(pl.lit(times)) if dead.height else pl.lit(0, pl.Int64).alias("window_start"))
    parts = [_violations(events.select(window(pl.col("event_time"))), counted)]
    parts += _by_field(events.with_columns(window(pl.col("event_time"))))
    whole = pl.concat(parts).with_columns(pl.col("window_start").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"))
    return merge_quality([whole])


def merge_quality(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The sum of counts (`QUALITY_SCHEMA`), sorted by window, check and subject."""
    empty = no_rows(QUALITY_SCHEMA)
    together = pl.concat([empty, *(frame.select(QUALITY_SCHEMA.names()) for frame in frames)])
    return together.group_by(KEY).agg(pl.col("count", "rows").sum()).sort(KEY)


def _violations(good: pl.DataFrame, dead: pl.DataFrame) -> pl.DataFrame:
    """Dead letters per rule, of good and bad rows; per window a row for each rule, so that parts add up."""
    windows = pl.concat([good, dead.select("window_start")])
    rows = windows.group_by("window_start").agg(rows=pl.len().cast(pl.Int64))
    rules = pl.DataFrame({"subject": [rule.value for rule in Rule]})
    counts = dead.group_by("window_start", pl.col("rule").alias("subject")).agg(count=pl.len().cast(pl.Int64))
    return (
        rows.join(rules, how="cross")
        .join(counts, on=["window_start", "subject"], how="left")
        .select(
            "window_start",
            pl.lit(Check.SCHEMA_VIOLATION.value).alias("check_name"),
            "subject",
            pl.col("count").fill_null(0),
            "rows",
        )
    )


def _by_field(good: pl.DataFrame) -> list[pl.DataFrame]:
    """Nulls and unknown values per field, of good rows."""
    optional = [field.name for field in FIELDS if not field.required]
    nulls = good.group_by("window_start").agg(
        pl.len().cast(pl.Int64).alias("_rows"), pl.col(optional).null_count().cast(pl.Int64)
    )
    limited = [field for field in FIELDS if field.values]
    unknown = good.group_by("window_start").agg(
        pl.len().cast(pl.Int64).alias("_rows"),
        *(
            (pl.col(field.name).is_not_null() & ~pl.col(field.name).is_in(field.values)).sum().cast(pl.Int64)
            for field in limited
        ),
    )
    return [_long(nulls, Check.NULL_RATE), _long(unknown, Check.UNKNOWN_TYPE)]


def _long(wide: pl.DataFrame, check: Check) -> pl.DataFrame:
    return wide.unpivot(index=["window_start", "_rows"], variable_name="subject", value_name="count").select(
        "window_start", pl.lit(check.value).alias("check_name"), "subject", "count", pl.col("_rows").alias("rows")
    )
