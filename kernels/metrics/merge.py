"""Partial aggregates of this step added to the slices in state."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.measures.base import SLICE, Measure
from ecompulse.kernels.metrics.ranges import Ints, SliceIndex
from ecompulse.kernels.metrics.schemas import SERIES
from ecompulse.kernels.rows import no_rows

_NUMBERS: Final = ("count", "total", "low", "high")
_NO_EXTREMES: Final = (pl.lit(None, pl.Int64).alias("low"), pl.lit(None, pl.Int64).alias("high"))


def unpack(held: pl.DataFrame) -> pl.DataFrame:
    """State (`sid` and STATE_SCHEMA) as one row per slice and part: `SLICE`, `count total low high`."""
    columns = [*SLICE, *_NUMBERS]
    with_extremes = held["low"].is_not_null()
    if not with_extremes.any():  # null, or nothing at all
        return held.select(columns).explode("slice", "part", "count", "total").with_columns(_NO_EXTREMES)
    plain = held.filter(~with_extremes).select(columns).explode("slice", "part", "count", "total")
    return pl.concat(
        [plain.with_columns(_NO_EXTREMES), held.filter(with_extremes).select(columns).explode(columns[1:])]
    )


def pack(plain: pl.DataFrame, extremes: pl.Series) -> pl.DataFrame:
    """The inverse of `unpack`, by `sid`; `extremes`: the series that need `low` and `high`."""
    lists = plain.sort("sid", maintain_order=True).group_by("sid", maintain_order=True)
    packed = lists.agg("slice", "part", "count", "total", "low", "high")
    needed = pl.col("sid").is_in(extremes.implode())
    return packed.with_columns(pl.when(needed).then(name).alias(name) for name in ("low", "high"))


def merge_plain(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Counts, sums and extremes per slice: `SLICE`, `count total low high`, `fresh`; sorted by part, sid, slice.

    Args:
        held: `unpack`ed state, each slice and part once.
        fresh: slices of this step, SLICE_SCHEMA with `sid`.
    """
    added = fresh.filter(pl.col("item").is_null()).group_by(SLICE)
    sums = added.agg(pl.col("count", "total").sum(), pl.col("low").min(), pl.col("high").max())
    rows = pl.concat([
        held.select(*SLICE, *_NUMBERS, fresh=pl.lit(value=False)),
        sums.select(*SLICE, *_NUMBERS, fresh=pl.lit(value=True)),
    ])  # fmt: skip
    if rows.is_empty():
        return rows
    keys = _keys(rows)
    order = np.argsort(keys, kind="stable")  # rows held are in order already, and such a sort is nearly free then
    keys = keys[order]
    again = np.r_[keys[1:] == keys[:-1], False]
    return _added(rows[order].with_columns(again=pl.Series(again)))


def _keys(rows: pl.DataFrame) -> Ints:
    """One whole number per slice and part (`SLICE`), in the order of part, series and slice."""
    sid = rows["sid"].to_numpy()
    owner = rows["part"].to_numpy().astype(np.int64) * (int(sid.max(initial=0)) + 1) + sid
    return SliceIndex.of(owner, rows["slice"].to_numpy()).keys


def _added(rows: pl.DataFrame) -> pl.DataFrame:
    """Sorted rows with the row that follows added to those that say so (`again`), which is then left out."""
    if not rows["again"].any():
        return rows[[*SLICE, *_NUMBERS, "fresh"]]
    following = {name: pl.when("again").then(pl.col(name).shift(-1)) for name in (*_NUMBERS, "fresh")}
    added = rows.with_columns(
        *(pl.col(name) + following[name].fill_null(0) for name in ("count", "total")),
        low=pl.min_horizontal("low", following["low"]),
        high=pl.max_horizontal("high", following["high"]),
        fresh=pl.col("fresh") | following["fresh"].fill_null(value=False),
    )
    return added.filter(~pl.col("again").shift(1, fill_value=False)).drop("again")


def merge_sketches(held: pl.DataFrame, fresh: pl.DataFrame, measures: Sequence[Measure]) -> pl.DataFrame:
    """Sketches per slice: `SLICE` and what `measures` keep; sorted by part, sid, slice.

    Slices without fresh rows are not opened.
    """
    schema = pl.Schema(
        {name: dtype for name, dtype in held.schema.items() if name not in (SERIES, "metric", "expires")}
    )
    names = [*SLICE, *(name for name in schema if name not in SLICE)]
    told = {name for measure in measures for name in _columns(measure) if fresh[name].null_count() < fresh.height}
    if not told:
        return held[names][np.argsort(_keys(held), kind="stable")]
    fresh = fresh.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in sorted(told)))
    measures = [measure for measure in measures if told & set(_columns(measure))]
    keys = _keys(pl.concat([held[list(SLICE)], fresh[list(SLICE)]]))
    touched = np.isin(keys[: held.height], keys[held.height :])
    still, opened = (held[np.flatnonzero(chosen)] for chosen in (~touched, touched))
    parts = [still[names], *(measure.merge(opened, fresh) for measure in measures)]
    merged = pl.concat([no_rows(schema), *parts], how="diagonal")
    return merged[names][np.argsort(_keys(merged), kind="stable")]


def _columns(measure: Measure) -> Collection[str]:
    """Columns of partial aggregates by which rows of a measure are known."""
    return measure.slices or ("item",)
