"""Durations in buckets of 9 significant bits: counts that add up in any order, exact to 0.2 %."""

from typing import Final

import polars as pl

_BITS: Final = 9
_WORD: Final = 64


def bucket(ms: pl.Expr) -> pl.Expr:
    """The bucket of a duration (Int64 ms, 0 or more), named by its middle.

    Up to 511 ms a bucket is one millisecond; above, it is 2^-8 of the power of two below it, so that its
    middle differs from any value in it by less than 2^-9 (0.2 %). Whole-number arithmetic only (as in
    HdrHistogram): the same on every machine.
    """
    bits = _WORD - ms.bitwise_leading_zeros().cast(pl.Int64)
    width = pl.lit(2, pl.Int64).pow((bits - _BITS).clip(0))
    return ms // width * width + width // 2


def condensed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `buckets` and `counts` (lists, as long as each other): each bucket of a row once, ascending."""
    numbered = rows.drop("buckets", "counts").with_row_index("_row")
    flat = rows.select("buckets", "counts").with_row_index("_row").explode("buckets", "counts", keep_nulls=False)
    sums = flat.group_by("_row", "buckets").agg(pl.col("counts").sum()).sort("_row", "buckets")
    lists = sums.group_by("_row", maintain_order=True).agg("buckets", "counts")
    joined = numbered.join(lists, on="_row", how="left", maintain_order="left")
    return joined.with_columns(pl.col("buckets", "counts").fill_null([])).select(rows.columns)


def at_rank(quantile_in_tenths: int) -> pl.Expr:
    """Of the rows of a group (`buckets` ascending, `counts`): the bucket of the nearest-rank quantile.

    The quantile q of n values is the ceil(q n)-th smallest.
    """
    total, running = pl.col("counts").sum(), pl.col("counts").cum_sum()
    rank = (total * quantile_in_tenths + 9) // 10
    return pl.col("buckets").filter(running >= rank).first()
