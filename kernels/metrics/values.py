"""What windows are worth: sums of their slices by prefix sums, sketches merged, exact quotients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.measure import Kind
from ecompulse.kernels.metrics.measures.distinct import count_distinct
from ecompulse.kernels.metrics.measures.quantiles import quantiles, representative
from ecompulse.kernels.metrics.measures.top import rank_items
from ecompulse.kernels.metrics.plan import Spec
from ecompulse.kernels.metrics.ranges import Line, Ranges, extremes, sums
from ecompulse.kernels.metrics.typed import SCALE

UNIT: Final = 10**SCALE
_FINE: Final = 6  # decimals of a value


@dataclass(frozen=True)
class Slices:
    """Slices of some series.

    Attributes:
        plain: `sid`, `slice`, `part`, `count`, `total`, `low`, `high`, `fresh`; each once, sorted by part, sid, slice.
        sketches: `sid`, `slice`, `part` and the lists of SKETCH_SCHEMA, in the same order; maybe empty.
    """

    plain: pl.DataFrame
    sketches: pl.DataFrame

    def marks(self) -> pl.DataFrame:
        """Slices that have data in any part: `sid`, `slice`, `fresh`; sorted."""
        marks = self.plain.select("sid", "slice", "fresh")
        if (self.plain["part"] == 0).all():
            return marks
        return marks.group_by("sid", "slice").agg(pl.col("fresh").any()).sort("sid", "slice")


def evaluate(windows: pl.DataFrame, slices: Slices, specs: Sequence[Spec]) -> pl.DataFrame:
    """The windows (`Saying.windows`) with their values.

    Adds `numerator`, `denominator` (units of 1/10^4), `value`, `error` (units of 1/10^6, all Int128) and
    `extra`, `slot`: JSON members that the measure adds to the dimensions, whole and without the item ranked.
    """
    kinds = pl.DataFrame(
        [(at, spec.kind.value, spec.per) for at, spec in enumerate(specs)],
        schema={"metric": pl.Int64, "kind": pl.String, "per": pl.Int64},
        orient="row",
    )
    told = windows.join(kinds, on="metric", how="left", maintain_order="left")
    first, second = (_part(told, slices, specs, number) for number in (0, 1))
    told = pl.concat([told, first, second], how="horizontal")
    plain = _plain(told.filter(~pl.col("kind").is_in([Kind.QUANTILES.value, Kind.TOP.value])))
    frames = [plain]
    for kind, shape in ((Kind.QUANTILES, _quantiles), (Kind.TOP, _top)):
        chosen = told.filter(pl.col("kind") == kind.value)
        if chosen.height:
            frames.append(shape(chosen, slices, specs).select(plain.columns))
    return pl.concat(frames)


def _part(windows: pl.DataFrame, slices: Slices, specs: Sequence[Spec], number: int) -> pl.DataFrame:
    """Of one part of the measure: `size` (count), `units` and `off` (both in units of 1/10^4)."""
    rows = slices.plain.filter(pl.col("part") == number)
    names = [f"{name}{number}" for name in ("size", "units", "off")]
    if rows.is_empty():
        nothing = pl.repeat(None if number else 0, windows.height, dtype=pl.Int128)
        return windows.select(nothing.alias(name) for name in names)
    ranges = _ranges(rows, windows)
    kinds = {at: (spec.parts[number], spec.scales[number]) for at, spec in enumerate(specs) if len(spec.parts) > number}
    part = windows.select(
        kind=_by_metric({at: kind.value for at, (kind, _) in kinds.items()}, pl.String),
        scaled=_by_metric({at: 10 ** (SCALE - scale) for at, (_, scale) in kinds.items()}, pl.Int64),
    ).with_columns(size=sums(rows["count"], ranges), total=sums(rows["total"], ranges))
    used = {kind for kind, _ in kinds.values()}
    for kind, column in ((Kind.MIN, "low"), (Kind.MAX, "high")):
        found = extremes(rows[column], ranges, greatest=kind is Kind.MAX) if kind in used else None
        part = part.with_columns(pl.lit(None, pl.Int64).alias(column) if found is None else found.alias(column))
    part = part.with_columns(_distinct(part, windows, slices, number))
    units = (
        pl.when(kind=Kind.COUNT.value).then(pl.col("size") * UNIT)
        .when(kind=Kind.DISTINCT.value).then(pl.col("distinct").cast(pl.Int128) * UNIT)
        .when(kind=Kind.MIN.value).then(pl.col("low").cast(pl.Int128) * pl.col("scaled"))
        .when(kind=Kind.MAX.value).then(pl.col("high").cast(pl.Int128) * pl.col("scaled"))
        .otherwise(pl.col("total") * pl.col("scaled"))
    )  # fmt: skip
    return part.select(
        pl.col("size").alias(names[0]), units.alias(names[1]), (pl.col("error").cast(pl.Int128) * UNIT).alias(names[2])
    )


def _by_metric(values: dict[int, object], dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    return pl.col("metric").replace_strict(values, default=None, return_dtype=dtype)


def _ranges(rows: pl.DataFrame, windows: pl.DataFrame) -> Ranges:
    line = Line.of(rows["sid"].to_numpy(), rows["slice"].to_numpy())
    return line.ranges(windows["sid"].to_numpy(), windows["start"].to_numpy(), windows["end"].to_numpy())


def _distinct(part: pl.DataFrame, windows: pl.DataFrame, slices: Slices, number: int) -> list[pl.Series]:
    """`distinct` and `error` per window, 0 where the part counts something else."""
    counts, errors = (np.zeros(part.height, dtype=np.int64) for _ in range(2))
    chosen = part.select(at=(pl.col("kind") == Kind.DISTINCT.value).fill_null(value=False))["at"].to_numpy()
    sets = slices.sketches.filter(pl.col("part") == number, pl.col("kind") == Kind.DISTINCT.value)
    if not chosen.any() or sets.is_empty():
        return [pl.Series("distinct", counts), pl.Series("error", errors)]
    sets = sets.with_columns(owner="sid")
    for _, group in (
        windows.select("number", at=pl.Series(chosen))
        .with_row_index("row")
        .filter("at")
        .group_by("number", maintain_order=True)
    ):  # windows of one number are in order, as `count_distinct` wants them
        rows = group["row"].to_numpy()
        counts[rows], errors[rows] = count_distinct(sets, _ranges(sets, windows[rows]))
    return [pl.Series("distinct", counts), pl.Series("error", errors)]


def half_even(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Quotient of whole numbers (Int128) rounded half to even; null for a denominator of 0."""
    below = pl.when(denominator != 0).then(denominator)
    floor, rest = numerator // below, numerator % below
    up = (rest * 2 > below) | ((rest * 2 == below) & (floor % 2 != 0))
    return floor + up.cast(pl.Int128)


def _plain(windows: pl.DataFrame) -> pl.DataFrame:
    """Counts, sums, extremes, distinct counts, means, rates and ratios."""
    kind = pl.col("kind")
    quotient = kind.is_in([Kind.MEAN.value, Kind.RATE.value, Kind.RATIO.value])
    length = (pl.col("end") - pl.col("start")).cast(pl.Int128)
    denominator = (
        pl.when(kind == Kind.MEAN.value).then(pl.col("size0") * UNIT)
        .when(kind == Kind.RATE.value).then(half_even(length * UNIT, pl.col("per").cast(pl.Int128)))
        .when(kind == Kind.RATIO.value).then(pl.col("units1").fill_null(0))
    )  # fmt: skip
    fine = 10**_FINE
    rate = half_even(pl.col("units0") * pl.col("per") * (fine // UNIT), length)
    divided = half_even(pl.col("units0") * fine, pl.col("denominator"))
    value = (
        pl.when(kind == Kind.RATE.value).then(rate)
        .when(quotient).then(divided)
        .otherwise(pl.col("units0") * (fine // UNIT))
    )  # fmt: skip
    told = windows.with_columns(denominator=denominator).with_columns(value=value)
    return told.select(
        *windows.columns[: windows.columns.index("kind")],
        numerator=pl.col("units0"), denominator="denominator", value="value",
        error=_error(quotient, fine), extra=pl.lit(""), slot=pl.lit(""),
    )  # fmt: skip


def _error(quotient: pl.Expr, fine: int) -> pl.Expr:
    """How far the value may be off; of a ratio, with both sides off at their worst, null if that is unbounded."""
    above = pl.col("units0") + pl.col("off0")
    below = pl.col("units1") - pl.col("off1")
    worst = pl.when(below > 0).then(above * fine // below + 1) - pl.col("value")
    off = (pl.col("off0") > 0) | (pl.col("off1").fill_null(0) > 0)
    ratio = pl.when(off).then(worst).otherwise(0)
    plain = pl.col("off0") * (fine // UNIT)
    return pl.when(quotient & pl.col("off1").is_not_null()).then(ratio).otherwise(plain).cast(pl.Int128)


def _quantiles(windows: pl.DataFrame, slices: Slices, specs: Sequence[Spec]) -> pl.DataFrame:
    """A row per window and probability, null where the window has no values."""
    sketches = slices.sketches.filter(pl.col("kind") == Kind.QUANTILES.value)
    frames = []
    for (at,), chosen in windows.group_by("metric", maintain_order=True):
        assert isinstance(at, int)  # noqa: S101  # a position in specs
        wanted = chosen.with_row_index("window_at").with_columns(pl.col("window_at").cast(pl.Int64))
        asked = wanted.join(pl.DataFrame({"quantile": specs[at].at}), how="cross")
        found = quantiles(sketches, _ranges(sketches, chosen), specs[at].at)
        estimate, bound = representative(found["bucket"].to_numpy())
        unit = pl.lit(10 ** specs[at].scales[0], pl.Int128)
        found = found.with_columns(estimate, bound).with_columns(
            value=half_even(pl.col("estimate"), unit), error=(pl.col("bound") + unit - 1) // unit
        )
        found = found.rename({"window": "window_at"})
        frames.append(asked.join(found, on=["window_at", "quantile"], how="left", maintain_order="left"))
    member = pl.format('"quantile":"{}"', "quantile")
    nothing = pl.lit(None, pl.Int128)
    return pl.concat(frames).with_columns(numerator=nothing, denominator=nothing, extra=member, slot=member)


def _top(windows: pl.DataFrame, slices: Slices, specs: Sequence[Spec]) -> pl.DataFrame:
    """A row per window and rank; `error` is what items beyond the admitted ones have together."""
    sketches = slices.sketches.filter(pl.col("kind") == Kind.TOP.value)
    frames = []
    for (at,), chosen in windows.group_by("metric", maintain_order=True):
        assert isinstance(at, int)  # noqa: S101  # a position in specs
        spec = specs[at]
        found = rank_items(sketches, _ranges(sketches, chosen), spec.k)
        wanted = chosen.with_row_index("window_at").with_columns(pl.col("window_at").cast(pl.Int64))
        scaled = 10 ** (SCALE - spec.scales[0])
        item = (
            pl.struct(pl.col("item").alias(spec.item)).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
        )
        found = found.rename({"window": "window_at"}).with_columns(
            numerator=pl.col("total") * scaled, slot=pl.format('"rank":{}', "rank")
        )
        found = found.with_columns(
            value=pl.col("numerator") * (10**_FINE // UNIT),
            error=pl.col("other").cast(pl.Int128) * scaled * (10**_FINE // UNIT),
            denominator=pl.lit(None, pl.Int128),
            extra=pl.concat_str(item, "slot", separator=","),
        )
        frames.append(wanted.join(found, on="window_at", how="inner", maintain_order="left"))
    return pl.concat(frames)
