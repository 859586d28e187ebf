"""Metrics that are not of events: data quality, and what the driver measures of its epochs."""

from typing import Final

import polars as pl

from ecompulse.kernels.durations import duration_text
from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.metrics.definition import Metric, Window
from ecompulse.kernels.metrics.measures.base import as_expression
from ecompulse.kernels.metrics.measures.registry import parse_measure
from ecompulse.kernels.metrics.schemas import EXACT, METRIC_SCHEMA, VALUE

DATA_QUALITY: Final = "data_quality"
EPOCH: Final = "epoch"
"""Label of a window that is an epoch, from its plan to its commit (processing time)."""


def quality_metric(window_ms: int) -> Metric:
    """`data_quality` as a metric that rules can watch."""
    window = Window(window_ms, window_ms)
    dimensions = {name: as_expression(name) for name in ("check_name", "subject")}
    return Metric(parse_measure({"ratio": ["count", "count"]}), (window,), dimensions=dimensions)


def quality_metrics(totals: pl.DataFrame, window_ms: int) -> pl.DataFrame:
    """Rows of `data_quality` (TOTALS_SCHEMA) as METRIC_SCHEMA: count (numerator) of the rows looked at (denominator).

    The value is their share, rounded at 6 decimals, or null without rows.
    """
    some = pl.when(pl.col("rows") > 0).then("rows")
    rows = totals.with_columns(
        dimensions=pl.struct("check_name", "subject").struct.json_encode(),
        metric=pl.lit(DATA_QUALITY),
        window_size=pl.lit(duration_text(window_ms)),
        value=(pl.col("count") / some).round(6).cast(VALUE),
        numerator=pl.col("count").cast(EXACT),
        denominator=pl.col("rows").cast(EXACT),
        error_bound=pl.lit(0).cast(VALUE),
    )
    return _complete(rows)


def measured_metrics(measured: pl.DataFrame) -> pl.DataFrame:
    """What the driver measured of an epoch (MEASURED_SCHEMA) as METRIC_SCHEMA; `window` is `epoch`."""
    dimension = pl.concat_str(pl.lit('{"statistic":"'), "statistic", pl.lit('"}'))
    rows = measured.with_columns(
        metric="measure",
        window_size=pl.lit(EPOCH),
        dimensions=pl.when(pl.col("statistic").is_null()).then(pl.lit("{}")).otherwise(dimension),
        window_start="since",
        window_end="until",
        numerator=pl.lit(None, EXACT),
        denominator=pl.lit(None, EXACT),
        revision=pl.lit(1, pl.Int64),
    )
    return _complete(rows)


def _complete(rows: pl.DataFrame) -> pl.DataFrame:
    identified = rows.with_columns(
        id=row_id("metric", "window_size", pl.col("window_start").cast(TIME).dt.epoch("ms"), "dimensions"),
        currency=pl.lit(None, pl.String),
        final=pl.lit(value=True),
    )
    shown = identified.select(pl.col(name).cast(dtype) for name, dtype in METRIC_SCHEMA.items())
    return shown.sort("metric", "window_start", "dimensions")
