"""Frames of metrics: partial aggregates, what state keeps of them, and what comes out."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import polars as pl

from ecompulse.kernels.event import TIME

if TYPE_CHECKING:
    from ecompulse.kernels.metrics.measures.base import Measure

SLICE_SCHEMA: Final = pl.Schema(
    {
        "series": pl.String(),
        "slice": pl.Int64(),
        "part": pl.Int8(),
        "count": pl.Int64(),
        "total": pl.Int128(),
        "low": pl.Int64(),
        "high": pl.Int64(),
        "item": pl.String(),
    }
)
"""Partial aggregates of a batch, all that is shuffled: one row per series, slice (its start, UTC ms) and part of the
measure, of a ranking one more per item. Amounts are in units of 1/10^4, other numbers as they are. Rows of equal
`(series, slice, part, item)` add up. Measures add columns of their own: see `slice_schema`."""


def slice_schema(measures: Iterable["Measure"]) -> pl.Schema:
    """SLICE_SCHEMA with what some measures shuffle besides."""
    return pl.Schema({**SLICE_SCHEMA, **_columns(measure.slices for measure in measures)})


def sketch_schema(measures: Iterable["Measure"]) -> pl.Schema:
    """State of measures that keep more of a slice than numbers: one row per series, slice and part."""
    own = _columns(measure.state for measure in measures)
    key = {"series": pl.String(), "slice": pl.Int64(), "part": pl.Int8()}
    return pl.Schema({**key, **own, "expires": pl.Int64()})


def _columns(found: Iterable[Mapping[str, pl.DataType]]) -> dict[str, pl.DataType]:
    """All of them, by name: the order of metrics must not matter."""
    return dict(sorted(item for columns in found for item in columns.items()))


SERIES: Final = "series"
SEPARATOR: Final = "\x1f"  # in a series' text: mark of the definition, metric, currency, dimensions

STATE_SCHEMA: Final = pl.Schema(
    {
        "series": pl.String(),
        "slice": pl.List(pl.Int64),
        "part": pl.List(pl.Int8),
        "count": pl.List(pl.Int64),
        "total": pl.List(pl.Int128),
        "low": pl.List(pl.Int64),
        "high": pl.List(pl.Int64),
        "said": pl.Int64(),
        "due": pl.Int64(),
        "expires": pl.Int64(),
    }
)
"""One row per series, its slices in lists of equal length by part and time: a series of a long sliding window has many,
and a row costs more than what is in it. `low` and `high` are null as a whole where the measure has no use for them.
`said`: windows that ended at or before it (ms) are out; `due`: end of the next one."""

EXACT: Final = pl.Decimal(38, 4)
VALUE: Final = pl.Decimal(38, 6)

METRIC_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "metric": pl.String(),
        "window_start": TIME,
        "window_end": TIME,
        "window_size": pl.String(),
        "dimensions": pl.String(),
        "value": VALUE,
        "numerator": EXACT,
        "denominator": EXACT,
        "error_bound": VALUE,
        "currency": pl.String(),
        "final": pl.Boolean(),
        "revision": pl.Int64(),
    }
)
"""`value` is exact for counts, sums, least and greatest; a mean, rate or ratio is numerator over denominator (both
exact), rounded half to even at 6 decimals, null where nothing is divided. `error_bound`: how far `value` may be off,
either way, 0 when it is exact. `revision` grows with each row of an `id`."""
