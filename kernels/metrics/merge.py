"""Partial aggregates of this step added to the slices in state."""

from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.measures.distinct import merge_sets
from ecompulse.kernels.metrics.ranges import Line
from ecompulse.kernels.metrics.schemas import SKETCH_SCHEMA

SLICE: Final = ("sid", "slice", "part")
_NUMBERS: Final = ("count", "total", "low", "high")
_NO_EXTREMES: Final = (pl.lit(None, pl.Int64).alias("low"), pl.lit(None, pl.Int64).alias("high"))
_LISTS: Final = ("hashes", "registers", "buckets", "weights", "items", "totals")


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
    # One whole number per slice and part: rows held are in order already, and such a sort is nearly free then.
    owner = rows["part"].cast(pl.Int64) * (rows["sid"].max() + 1) + rows["sid"]  # type: ignore[operator]  # not empty
    keys = Line.of(owner.to_numpy(), rows["slice"].to_numpy()).keys
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    again = np.r_[keys[1:] == keys[:-1], False]
    return _added(rows[order].with_columns(again=pl.Series(again)))


def _added(rows: pl.DataFrame) -> pl.DataFrame:
    """Sorted rows with the row that follows added to those that say so (`again`), which is then left out."""
    if not rows["again"].any():
        return rows.drop("again")
    following = {name: pl.when("again").then(pl.col(name).shift(-1)) for name in (*_NUMBERS, "fresh")}
    added = rows.with_columns(
        *(pl.col(name) + following[name].fill_null(0) for name in ("count", "total")),
        low=pl.min_horizontal("low", following["low"]),
        high=pl.max_horizontal("high", following["high"]),
        fresh=pl.col("fresh") | following["fresh"].fill_null(value=False),
    )
    return added.filter(~pl.col("again").shift(1, fill_value=False)).drop("again")


def merge_sketches(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Sketches per slice: `SLICE` and lists; sorted by part, sid, slice. Slices without fresh rows are not opened."""
    told = pl.any_horizontal(pl.col(name).is_not_null() for name in ("hashes", "registers", "buckets", "item"))
    fresh = fresh.filter(told)
    if fresh.is_empty():
        return held.select(*SLICE, *_LISTS).sort("part", "sid", "slice")
    touched = fresh.select(SLICE).unique()
    still = held.join(touched, on=SLICE, how="anti").select(*SLICE, *_LISTS)
    opened = held.join(touched, on=SLICE, how="semi")
    parts = [still, _sets(opened, fresh), _buckets(opened, fresh), _items(opened, fresh)]
    merged = pl.concat([pl.DataFrame(schema=_schema()), *parts], how="diagonal")
    return merged.select(*SLICE, *_LISTS).sort("part", "sid", "slice")


def _schema() -> pl.Schema:
    return pl.Schema({"sid": pl.Int64(), **{n: d for n, d in SKETCH_SCHEMA.items() if n not in ("series", "expires")}})


def _sets(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    has = pl.col("hashes").is_not_null() | pl.col("registers").is_not_null()
    columns = (*SLICE, "hashes", "registers")
    rows = pl.concat([held.filter(has).select(columns), fresh.filter(has).select(columns)])
    return merge_sets(rows, SLICE) if rows.height else rows


def _buckets(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    has = pl.col("buckets").is_not_null()
    columns = (*SLICE, "buckets", "weights")
    rows = pl.concat([held.filter(has).select(columns), fresh.filter(has).select(columns)])
    if rows.is_empty():
        return rows
    counts = rows.explode("buckets", "weights").group_by(*SLICE, "buckets").agg(pl.col("weights").sum())
    return counts.sort(*SLICE, "buckets").group_by(SLICE, maintain_order=True).agg("buckets", "weights")


def _items(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    old = held.filter(pl.col("items").is_not_null()).select(*SLICE, "items", "totals", "weights")
    old = old.explode("items", "totals", "weights")
    new = fresh.filter(pl.col("item").is_not_null())
    new = new.select(*SLICE, items="item", totals="total", weights="count")
    sums = pl.concat([old, new]).group_by(*SLICE, "items").agg(pl.col("totals", "weights").sum())
    return sums.sort(*SLICE, "items").group_by(SLICE, maintain_order=True).agg("items", "totals", "weights")
