"""Metrics that another job has written, as rows of a table or topic, read as points."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.kernels.anomalies.matching import WATCHED, read_points
from ecompulse.kernels.event import TIME
from ecompulse.kernels.mapping import Mapping
from ecompulse.kernels.metrics.schemas import VALUE

ROLE: Final = "kpis"

_LIMIT: Final = 1e24  # what VALUE holds with ease

METRIC_MAPPING: Final = Mapping(
    help="rows of metrics",
    fields={"event_time": "window_end", "anonymous_id": "metric", "session_id": "window_size"},
    constants={"event_type": "metric"},
    event_id="hash",
    drop=("user_id",),  # else a row with one would need no metric
    lenient=True,
)
"""How a metric's row is read as an event, so that the same rules decode it: without a metric's name or an end of its
window it is a dead letter."""


def to_points(rows: pl.DataFrame, watched: Sequence[str] = WATCHED) -> pl.DataFrame:
    """Points of decoded rows of metrics (FRAME_SCHEMA), as `read_points` picks them, and their `event_time`.

    A row that does not say whether it is final is taken to be, and one without a revision to be the first.
    """

    def field(name: str) -> pl.Expr:
        return pl.col("properties").str.json_path_match(f"$.{name}")

    points = read_points(
        rows.select(
            metric="anonymous_id",
            window_size=pl.col("session_id").fill_null(""),
            window_end="event_time",
            dimensions=field("dimensions").fill_null("{}"),
            currency="currency",
            value=_value(field("value")),
            final=field("final").fill_null("true") == "true",
            revision=field("revision").cast(pl.Int64, strict=False).fill_null(1),
        ),
        watched,
    )
    return points.with_columns(event_time=pl.col("end").cast(TIME))


def _value(text: pl.Expr) -> pl.Expr:
    """A metric's value; null where there is none, or one that no metric can have."""
    return pl.when(text.cast(pl.Float64, strict=False).abs() < _LIMIT).then(text).cast(VALUE, strict=False)
