"""Before the shuffle: metric rows become readings of the rules that watch them."""

import json
from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.kernels.alerts.rules import Watch
from ecompulse.kernels.metrics.schemas import EXACT
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.step import Clock

READING_SCHEMA: Final = pl.Schema(
    {
        "watched": pl.String(),
        "rule": pl.String(),
        "series": pl.String(),
        "end": pl.Int64(),
        "value": pl.Int128(),
        "revision": pl.Int64(),
    }
)
"""A final row of a watched series: `series` (metric, window, dimensions, currency as one text), `end` of its window
(UTC ms), `value` in units of 1/10^6. A row without a series is a tick: it only says that time goes on.
`watched` is the key: rule and series; of a rule of absence the rule alone."""

SEPARATOR: Final = "\x1f"


def read_metrics(metrics: pl.DataFrame, watches: Sequence[Watch]) -> pl.DataFrame:
    """Readings (READING_SCHEMA) of metric rows (METRIC_SCHEMA); rows that no rule watches, or not final, give none."""
    final = metrics.filter("final", pl.col("metric").is_in(list({watch.rule.metric for watch in watches})))
    parts, there = [no_rows(READING_SCHEMA)], set(final["metric"].unique())
    for watch in (each for each in watches if each.rule.metric in there):
        rule = watch.rule
        chosen = (pl.col("metric") == rule.metric) & (pl.col("window_size") == watch.window.label)
        for name, value in rule.dimensions.items():
            member = json.dumps({name: value}, ensure_ascii=False, separators=(",", ":"))[1:-1]
            chosen &= pl.col("dimensions").str.contains(member, literal=True)
        units = pl.col("value").to_physical()
        if rule.least is not None and not rule.relative:
            units = pl.when(pl.col("denominator") >= pl.lit(rule.least).cast(EXACT)).then(units).otherwise(None)
        series = pl.concat_str(
            "metric", "window_size", "dimensions", pl.col("currency").fill_null(""), separator=SEPARATOR
        )
        key = pl.lit(watch.name) if rule.absent else pl.concat_str(pl.lit(watch.name), "series", separator=SEPARATOR)
        parts.append(
            final.filter(chosen)
            .with_columns(series=series, rule=pl.lit(watch.name))
            .with_columns(watched=key, end=pl.col("window_end").dt.epoch("ms"), value=units)
            .select(READING_SCHEMA.names())
        )
    return pl.concat(parts)


def tick(watches: Sequence[Watch], clock: Clock) -> pl.DataFrame:
    """One row per rule of absence: to be fed once per epoch, so that silence is noticed."""
    names = [watch.name for watch in watches if watch.rule.absent]
    rows = pl.DataFrame({"watched": names, "rule": names}, schema={"watched": pl.String, "rule": pl.String})
    nothing = {name: pl.lit(None, dtype) for name, dtype in READING_SCHEMA.items() if name not in rows.columns}
    told = rows.with_columns(**nothing).with_columns(revision=pl.lit(clock.epoch, pl.Int64))
    return told.select(READING_SCHEMA.names())
