"""Partial aggregates of this step added to the slices in state."""

from typing import Final

import polars as pl

from ecompulse.kernels.metrics.measures.distinct import merge_sets
from ecompulse.kernels.metrics.schemas import SKETCH_SCHEMA

SLICE: Final = ("sid", "slice", "part")
_LISTS: Final = ("hashes", "registers", "buckets", "weights", "items", "totals")


def merge_plain(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Counts, sums and extremes per slice: `SLICE`, `count total low high`, `fresh`; sorted by part, sid, slice."""
    columns = (*SLICE, "count", "total", "low", "high")
    rows = pl.concat([
        held.select(*columns, fresh=pl.lit(value=False)),
        fresh.filter(pl.col("item").is_null()).select(*columns, fresh=pl.lit(value=True)),
    ])  # fmt: skip
    added = rows.group_by(SLICE).agg(
        pl.col("count", "total").sum(), pl.col("low").min(), pl.col("high").max(), pl.col("fresh").any()
    )
    return added.sort("part", "sid", "slice")


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
    counts = rows.explode("buckets", "weights").group_by(*SLICE, "buckets").agg(pl.col("weights").sum())
    return counts.sort(*SLICE, "buckets").group_by(SLICE, maintain_order=True).agg("buckets", "weights")


def _items(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    old = held.filter(pl.col("items").is_not_null()).select(*SLICE, "items", "totals", "weights")
    old = old.explode("items", "totals", "weights")
    new = fresh.filter(pl.col("item").is_not_null())
    new = new.select(*SLICE, items="item", totals="total", weights="count")
    sums = pl.concat([old, new]).group_by(*SLICE, "items").agg(pl.col("totals", "weights").sum())
    return sums.sort(*SLICE, "items").group_by(SLICE, maintain_order=True).agg("items", "totals", "weights")
