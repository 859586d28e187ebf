"""Incidents as they come out."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.kernels.alerts.matching import SEPARATOR
from ecompulse.kernels.alerts.rules import Watch
from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.metrics.schemas import VALUE

NEVER: Final = 2**62

FIRING: Final = "firing"
RECOVERED: Final = "recovered"

ALERT_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "rule": pl.String(),
        "incident_id": pl.String(),
        "state": pl.String(),
        "severity": pl.String(),
        "metric": pl.String(),
        "window_size": pl.String(),
        "dimensions": pl.String(),
        "currency": pl.String(),
        "since": TIME,
        "until": TIME,
        "value": VALUE,
    }
)
"""One row when an incident fires, one when it has recovered (`until`: end of the window that is back). `value` is that
of the window that fired or recovered it; null for absence."""

TURN_SCHEMA: Final = pl.Schema(
    {
        "rule": pl.String(),
        "series": pl.String(),
        "state": pl.String(),
        "began": pl.Int64(),
        "until": pl.Int64(),
        "value": pl.Int128(),
    }
)
"""A turn of an incident: `began` and `until` in UTC ms, `value` in units of 1/10^6."""


def shown(turns: pl.DataFrame, watches: Sequence[Watch]) -> pl.DataFrame:
    """Turns (TURN_SCHEMA) as ALERT_SCHEMA, sorted."""
    severity = {watch.name: watch.rule.severity for watch in watches}
    names = ["metric", "window_size", "dimensions", "currency"]
    parts = pl.col("series").str.splitn(SEPARATOR, len(names)).struct.rename_fields(names).struct.unnest()
    unit = pl.lit("0.000001").cast(VALUE)
    told = turns.select(TURN_SCHEMA.names()).with_columns(parts, incident_id=row_id("rule", "series", "began"))
    told = told.with_columns(
        id=row_id("incident_id", "state"),
        severity=pl.col("rule").replace_strict(severity, default=None, return_dtype=pl.String),
        currency=pl.when(pl.col("currency") != "").then("currency"),
        since=pl.col("began").cast(TIME),
        until=pl.col("until").cast(TIME),
        value=pl.col("value").cast(VALUE) * unit,
    )
    return told.select(ALERT_SCHEMA.names()).sort("rule", "since", "incident_id", "state")
