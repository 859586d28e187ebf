"""Before the shuffle: a batch of events becomes a few partial aggregates per series and slice of time."""

from typing import Final

import polars as pl

from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.metrics.calendar import last_end
from ecompulse.kernels.metrics.measures.base import Aggregate
from ecompulse.kernels.metrics.plan import Bound, Plan, Spec
from ecompulse.kernels.metrics.schemas import SEPARATOR
from ecompulse.kernels.rows import millis, no_rows
from ecompulse.kernels.step import END_OF_TIME, Clock

OPERATOR: Final = "realtime_metrics"
_AT: Final = "_at"
_CURRENCY: Final = "_currency"
_DIMENSION: Final = "_dimension_"
_SLICE: Final = "slice"


def to_slices(events: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Partial aggregates (`plan.slices`) of a batch, for every metric; rows in no particular order.

    Events must have the columns `plan.columns`. An event counts in each metric whose filter it passes; whether
    it comes too late for some is decided behind the shuffle, slice by slice (see `late_rows`).
    """
    if events.is_empty() or not plan.metrics:
        return no_rows(plan.slices)
    work = events.select(*sorted(plan.columns), millis().alias(_AT))
    frames: dict[frozenset[str] | None, pl.DataFrame] = {None: work}
    groups: dict[tuple[object, ...], pl.DataFrame] = {}
    parts = []
    for bound in plan.metrics:
        for number, part in enumerate(bound.parts):
            if part.types not in frames:
                frames[part.types] = work.filter(pl.col("event_type").is_in(sorted(part.types or ())))
            parts += _rows(bound, number, frames[part.types], groups)
    found = pl.concat([no_rows(plan.slices), *parts], how="diagonal")
    for measure in {part for bound in plan.metrics for part in bound.spec.parts}:
        found = measure.shrink(found)
    return found


def _rows(
    bound: Bound, number: int, frame: pl.DataFrame, groups: dict[tuple[object, ...], pl.DataFrame]
) -> list[pl.DataFrame]:
    """Rows of a part of a metric; aggregates that metrics have in common are made once."""
    part, spec = bound.parts[number], bound.spec
    scope = (part.label, bound.label, spec.slice_ms)
    if scope not in groups:
        groups[scope] = _aggregate(bound, part, frame) if frame.height else frame
    if groups[scope].is_empty():
        return []
    keys = _keys(bound)
    named = groups[scope].with_columns(series=_series(spec, bound), part=pl.lit(number, pl.Int8))
    return [named.drop([key for key in keys if key != _SLICE])]


def _keys(bound: Bound) -> list[str]:
    dimensions = [f"{_DIMENSION}{name}" for name in bound.dimensions]
    return [_SLICE, *([_CURRENCY] if bound.currency is not None else []), *dimensions]


def _scoped(bound: Bound, part: Aggregate, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that count: keys, `value`, and `by` of a ranking."""
    rows = frame if part.condition is None else frame.filter(part.condition)
    keys = [(pl.col(_AT) // bound.spec.slice_ms * bound.spec.slice_ms).alias(_SLICE)]
    if bound.currency is not None:
        keys.append(bound.currency.alias(_CURRENCY))
    keys += [expression.alias(f"{_DIMENSION}{name}") for name, expression in bound.dimensions.items()]
    values = [part.value.alias("value")] if part.value is not None else []
    if part.by is not None and part.by.value is not None:
        values.append(part.by.value.alias("by"))
    return rows.select(*keys, *values)


def _aggregate(bound: Bound, part: Aggregate, frame: pl.DataFrame) -> pl.DataFrame:
    """Keys and the columns of `plan.slices` that the measure has."""
    return part.measure.partial(_scoped(bound, part, frame), _keys(bound))


def series_prefix(spec: Spec) -> str:
    """How the texts of a metric's series begin: all but currency and dimensions."""
    return f"{spec.mark}{SEPARATOR}{spec.name}"


def _text_of_currency() -> pl.Expr:
    """Without the separator of the parts of a series, which no currency has."""
    return pl.col(_CURRENCY).str.replace_all(SEPARATOR, "\ufffd", literal=True).fill_null("")


def _series(spec: Spec, bound: Bound) -> pl.Expr:
    currency = pl.lit("") if bound.currency is None else _text_of_currency()
    dimensions = [pl.col(f"{_DIMENSION}{name}").alias(name) for name in bound.dimensions]
    shown = pl.struct(dimensions).struct.json_encode() if dimensions else pl.lit("{}")
    return pl.concat_str(pl.lit(series_prefix(spec)), currency, shown, separator=SEPARATOR)


def late_rows(events: pl.DataFrame, clock: Clock, plan: Plan) -> pl.DataFrame:
    """Events that come too late to count everywhere they should.

    A window is closed for good once its end + the metric's lag + the allowed lateness <= watermark. An event is
    here when, for some metric whose filter it passes and one of that metric's windows (such as `1m`), the last
    window that holds it is closed for good: that metric shows nothing of it. It may still count in a longer
    window, or in a metric with a longer lag. A sliding window that is out and closed for good is left as it is while
    a later one that holds the event is revised; such an event is not here. Nothing is late when the input is drained.

    Returns:
        `id`, `operator`, `late_by_ms` (since the first such window was closed for good), and the event; in
        the order of `events`.
    """
    schema = pl.Schema({"id": pl.String(), "operator": pl.String(), "late_by_ms": pl.Int64(), **events.schema})
    old = events.filter(millis() < clock.watermark - plan.lateness)
    if clock.watermark >= END_OF_TIME:  # the end of the input makes nothing late
        old = old.clear()
    if old.is_empty():
        return no_rows(schema)
    late = [_late_by(bound, plan, clock) for bound in plan.metrics]
    found = old.with_columns(late_by_ms=pl.max_horizontal(late)).filter(pl.col("late_by_ms") >= 0)
    return found.with_columns(id=row_id(pl.lit(OPERATOR), "event_id"), operator=pl.lit(OPERATOR)).select(schema.names())


def _late_by(bound: Bound, plan: Plan, clock: Clock) -> pl.Expr:
    """Ms since the metric's first last window was closed for good; null for rows that the metric does not count."""
    ends = [last_end(millis(), window, plan.timezone) for window in bound.spec.windows]
    counts = pl.lit(value=False)
    for part in bound.parts:
        passes = pl.lit(value=True) if part.condition is None else part.condition
        if part.types is not None:
            passes &= pl.col("event_type").is_in(sorted(part.types))
        counts |= passes.fill_null(value=False)
    return pl.when(counts).then(clock.watermark - plan.lateness - bound.spec.lag - pl.min_horizontal(ends))
