"""Rankings: exact sums per item, the greatest first."""

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.ranges import Ranges, flat_rows

OTHER = "__other__"
"""Stands for all items, or all dimensions, beyond `--max_series`."""


def rank_items(sketches: pl.DataFrame, windows: Ranges, k: int) -> pl.DataFrame:
    """The k items with the greatest total per window; ties by the item's text, `__other__` is no item.

    Args:
        sketches: `items` and `totals`, sorted by series and slice.
        windows: rows of `sketches` per window.
        k: how many.

    Returns:
        `window` (position in `windows`), `rank` from 1, `item`, `total` (Int128), `other` (the total of
        `__other__`: no item behind it can have more).
    """
    lengths = windows.stop - windows.start
    held = np.flatnonzero(lengths)
    rows, _ = flat_rows(Ranges(windows.start[held], windows.stop[held]))
    pairs = sketches.select("items", "totals")[rows].with_columns(window=pl.Series(np.repeat(held, lengths[held])))
    sums = pairs.explode("items", "totals").drop_nulls()
    sums = sums.group_by("window", item="items").agg(pl.col("totals").sum().alias("total"))
    folded = sums.filter(pl.col("item") == OTHER).select("window", other="total")
    ranked = sums.filter(pl.col("item") != OTHER).sort("window", "total", "item", descending=[False, True, False])
    ranked = ranked.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("window"))
    ranked = ranked.filter(pl.col("rank") <= k).join(folded, on="window", how="left", maintain_order="left")
    return ranked.select("window", "rank", "item", "total", pl.col("other").fill_null(0))
