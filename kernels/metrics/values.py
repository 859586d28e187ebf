"""What windows are worth: sums of their slices by prefix sums, sketches merged, exact quotients."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.measures.base import FINE, UNIT, Measure, Slices
from ecompulse.kernels.metrics.plan import Spec
from ecompulse.kernels.metrics.ranges import SliceIndex, extremes, sums
from ecompulse.kernels.metrics.typed import SCALE

_NONE: Final = Measure()  # of a metric that has no such part


def evaluate(windows: pl.DataFrame, slices: Slices, specs: Sequence[Spec]) -> pl.DataFrame:
    """The windows (`Emission.windows`) with their values.

    Adds `numerator`, `denominator` (units of 1/10^4), `value`, `error` (units of 1/10^6, all Int128) and
    `extra`, `slot`: JSON members that the measure adds to the dimensions, whole and without the item ranked.
    """
    told = pl.concat([windows, *(_part(windows, slices, specs, number) for number in (0, 1))], how="horizontal")
    by_measure = _positions((spec.measure for spec in specs), told)
    frames, several = [], list[int]()
    for measure, positions in by_measure.items():
        if measure.dimension is not None:
            several += positions
            found = measure.rows(told.filter(pl.col("metric").is_in(positions)), slices, specs)
            frames.append(found)
    single = told.filter(~pl.col("metric").is_in(several)) if several else told
    plain = _single(single, windows.columns, by_measure)
    return pl.concat([plain, *(found.select(plain.columns) for found in frames)])


def _positions(measures: Iterable[Measure], windows: pl.DataFrame) -> dict[Measure, list[int]]:
    """Metrics (positions in specs) that there are windows of, by what they measure."""
    there, found = set(np.flatnonzero(np.bincount(windows["metric"].to_numpy()))), dict[Measure, list[int]]()
    for at, measure in enumerate(measures):
        if at in there:
            found.setdefault(measure, []).append(at)
    return found


def _by_measure(expressions: Mapping[Measure, pl.Expr], by_measure: Mapping[Measure, list[int]]) -> pl.Expr:
    """For each row the expression of its metric's measure."""
    if len(expressions) == 1:
        return next(iter(expressions.values()))
    found: Any = pl
    for measure, expression in expressions.items():
        found = found.when(pl.col("metric").is_in(by_measure[measure])).then(expression)
    chosen: pl.Expr = found.otherwise(pl.lit(None, pl.Int128)) if expressions else pl.lit(None, pl.Int128)
    return chosen


def _part(windows: pl.DataFrame, slices: Slices, specs: Sequence[Spec], number: int) -> pl.DataFrame:
    """Of one part of the measure: `size` (count), `units` and `off` (both in units of 1/10^4)."""
    rows = slices.plain.filter(pl.col("part") == number)
    names = [f"{name}{number}" for name in ("size", "units", "off")]
    having = {at: spec for at, spec in enumerate(specs) if len(spec.parts) > number}
    by_measure = _positions((spec.parts[number] if at in having else _NONE for at, spec in enumerate(specs)), windows)
    by_measure.pop(_NONE, None)
    if rows.is_empty() or not by_measure:
        nothing = pl.repeat(None if number else 0, windows.height, dtype=pl.Int128)
        return windows.select(nothing.alias(name) for name in names)
    ranges = SliceIndex.windows(rows, windows)
    scales = {at: 10 ** (SCALE - spec.scales[number]) for at, spec in having.items()}
    scaled = pl.col("metric").replace_strict(scales, default=None, return_dtype=pl.Int64)
    part = windows.select("metric", scaled=scaled, size=sums(rows["count"], ranges), total=sums(rows["total"], ranges))
    if any(measure.extremes for measure in by_measure):
        part = part.with_columns(extremes(rows[name], ranges, greatest=name == "high") for name in ("low", "high"))
    for measure, positions in by_measure.items():
        if measure.state and measure.dimension is None:
            part = part.with_columns(_over(measure, positions, windows, slices, number))
    units = _by_measure({measure: measure.units() for measure in by_measure}, by_measure)
    off = _by_measure({measure: measure.off() for measure in by_measure}, by_measure)
    found = part.select(pl.col("size").alias(names[0]), units.alias(names[1]), off.alias(names[2]))
    if number == 0:
        return found
    known = pl.col("metric").is_in(list(having))  # a metric without such a part has nothing of it
    return part.select("metric").hstack(found).select(pl.when(known).then(name) for name in names)


def _over(
    measure: Measure, positions: Sequence[int], windows: pl.DataFrame, slices: Slices, number: int
) -> list[pl.Series]:
    """What a measure makes of its own state: its columns, null for windows of other metrics."""
    sets = slices.of_measure(measure.name).filter(pl.col("part") == number)
    chosen = windows.with_row_index("row").filter(pl.col("metric").is_in(positions))
    frames = []
    for _, group in chosen.group_by("number", maintain_order=True):  # of one number they are in order
        found = measure.over(sets, SliceIndex.windows(sets, group))
        frames.append(pl.DataFrame({"row": group["row"], **found}))
    told = pl.concat(frames)
    placed = pl.DataFrame({"row": pl.int_range(windows.height, eager=True, dtype=pl.UInt32)})
    return placed.join(told, on="row", how="left", maintain_order="left").drop("row").get_columns()


def _single(windows: pl.DataFrame, names: Sequence[str], by_measure: Mapping[Measure, list[int]]) -> pl.DataFrame:
    """Measures with one row per window."""
    ours = {measure: positions for measure, positions in by_measure.items() if measure.dimension is None}
    denominator = _by_measure({measure: measure.denominator() for measure in ours}, ours)
    value = _by_measure({measure: measure.value() for measure in ours}, ours)
    quotients = [at for measure, positions in ours.items() if measure.quotient for at in positions]
    told = windows.with_columns(denominator=denominator).with_columns(value=value)
    return told.select(
        *names,
        numerator=pl.col("units0"), denominator="denominator", value="value",
        error=_error(pl.col("metric").is_in(quotients)), extra=pl.lit(""), slot=pl.lit(""),
    )  # fmt: skip


def _error(quotient: pl.Expr) -> pl.Expr:
    """How far the value may be off; of a ratio, with both sides off at their worst, null if that is unbounded."""
    above = pl.col("units0") + pl.col("off0")
    below = pl.col("units1") - pl.col("off1")
    worst = pl.when(below > 0).then(above * FINE // below + 1) - pl.col("value")
    off = (pl.col("off0") > 0) | (pl.col("off1").fill_null(0) > 0)
    ratio = pl.when(off).then(worst).otherwise(0)
    plain = pl.col("off0") * (FINE // UNIT)
    return pl.when(quotient & pl.col("off1").is_not_null()).then(ratio).otherwise(plain).cast(pl.Int128)
