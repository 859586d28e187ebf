"""Before the shuffle: metric rows become points of the watched series."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.kernels.alerts.matching import SEPARATOR

POINT_SCHEMA: Final = pl.Schema(
    {"series": pl.String(), "end": pl.Int64(), "value": pl.Int128(), "revision": pl.Int64()}
)
"""A final value of a series: `series` (metric, window, dimensions, currency as one text), `end` of its window (UTC ms),
`value` in units of 1/10^6."""

WATCHED: Final = (
    "active_visitors",
    "average_order_value",
    "cart_abandonment_rate",
    "conversion_rate",
    "orders",
    "page_views",
    "payment_failure_rate",
    "refunded",
    "revenue_gross",
    "searches_without_result",
    "sessions_started",
)
"""Metrics of the standard set that describe the state of a shop; others are parts or aliases of these."""


def read_points(metrics: pl.DataFrame, watched: Sequence[str] = WATCHED) -> pl.DataFrame:
    """Points (POINT_SCHEMA) of metric rows (METRIC_SCHEMA) of the named metrics; of all metrics if none is named.

    Rows that are not final, without a value, or of sliding windows (their points overlap, so that one odd minute would
    be odd for as long as the window is) give none.
    """
    chosen = metrics.filter(
        "final", pl.col("value").is_not_null(), ~pl.col("window_size").str.contains("/", literal=True)
    )
    if watched:
        chosen = chosen.filter(pl.col("metric").is_in(list(watched)))
    series = pl.concat_str("metric", "window_size", "dimensions", pl.col("currency").fill_null(""), separator=SEPARATOR)
    return chosen.select(
        series=series, end=pl.col("window_end").dt.epoch("ms"), value=pl.col("value").to_physical(), revision="revision"
    )
