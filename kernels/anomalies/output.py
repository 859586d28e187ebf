"""Incidents as they come out."""

from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.alerts.matching import SEPARATOR
from ecompulse.kernels.alerts.rules import VALUE_DECIMALS
from ecompulse.kernels.anomalies.incidents import KINDS, SEVERITIES, STATES, Turns
from ecompulse.kernels.anomalies.memory import NOTHING
from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.metrics.schemas import VALUE

ANOMALY_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "incident_id": pl.String(),
        "state": pl.String(),
        "kind": pl.String(),
        "severity": pl.String(),
        "metric": pl.String(),
        "window_size": pl.String(),
        "dimensions": pl.String(),
        "currency": pl.String(),
        "since": TIME,
        "window_end": TIME,
        "value": VALUE,
        "expected_low": VALUE,
        "expected_high": VALUE,
        "score": pl.Float64(),
    }
)
"""One row when an incident fires, one when it has recovered: `kind` point, change or silence; `since` end of its first
window (of a silence, of the last one before it), `window_end` of the window that fired or recovered it, with its
value, the interval expected for it, and its score; null for a silence, whose firing is at the time it was long enough,
and its recovery at the end of the next window."""

TURN_SCHEMA: Final = pl.Schema(
    {
        "series": pl.String(),
        "kind": pl.Int64(),
        "state": pl.Int64(),
        "severity": pl.Int64(),
        "since": pl.Int64(),
        "end": pl.Int64(),
        "value": pl.Int128(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "score": pl.Float64(),
    }
)


def as_frame(turns: Turns, series: pl.Series, values: pl.Series) -> pl.DataFrame:
    """Turns (TURN_SCHEMA) of the named series; `values` of the points that were judged."""
    at = pl.Series(np.where(turns.row == NOTHING, 0, turns.row))
    silent = pl.Series(turns.row == NOTHING)
    value = values.gather(at) if values.len() else pl.Series([None] * len(at), dtype=pl.Int128)
    columns = {"series": series.gather(pl.Series(turns.series)), "value": value}
    numbers = {name: getattr(turns, name) for name in TURN_SCHEMA if name not in columns}
    frame = pl.DataFrame({**columns, **numbers}).select(TURN_SCHEMA.names()).cast(TURN_SCHEMA)
    return frame.with_columns(value=pl.when(~silent).then("value")).with_columns(
        pl.col("low", "high", "score").fill_nan(None)
    )


def shown(turns: pl.DataFrame) -> pl.DataFrame:
    """Turns (TURN_SCHEMA) as ANOMALY_SCHEMA, sorted."""
    names = ["metric", "window_size", "dimensions", "currency"]
    parts = pl.col("series").str.splitn(SEPARATOR, len(names)).struct.rename_fields(names).struct.unnest()
    one = pl.lit("0.000001").cast(VALUE)
    told = turns.with_columns(
        parts,
        kind=_word("kind", KINDS),
        state=_word("state", STATES),
        severity=_word("severity", SEVERITIES),
    )
    told = told.with_columns(incident_id=row_id("series", "kind", "since"))
    told = told.with_columns(
        id=row_id("incident_id", "state"),
        currency=pl.when(pl.col("currency") != "").then("currency"),
        since=pl.col("since").cast(TIME),
        window_end=pl.col("end").cast(TIME),
        value=pl.col("value").cast(VALUE) * one,
        expected_low=pl.col("low").round(VALUE_DECIMALS).cast(VALUE),
        expected_high=pl.col("high").round(VALUE_DECIMALS).cast(VALUE),
    )
    return told.select(ANOMALY_SCHEMA.names()).sort("since", "metric", "window_size", "dimensions", "currency", "id")


def _word(column: str, words: tuple[str, ...]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(enumerate(words)), return_dtype=pl.String)
