"""Least and greatest; null in a window without values."""

from collections.abc import Sequence
from typing import ClassVar

import polars as pl

from ecompulse.kernels.metrics.measures.base import Measure, count_of_rows


class Min(Measure):
    """`min: expression`."""

    name: ClassVar[str] = "min"
    extremes: ClassVar[bool] = True

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """`low`."""
        return rows.group_by(keys).agg(count_of_rows(), pl.col("value").min().alias("low"))

    def units(self) -> pl.Expr:
        """The least."""
        return pl.col("low").cast(pl.Int128) * pl.col("scaled")


class Max(Measure):
    """`max: expression`."""

    name: ClassVar[str] = "max"
    extremes: ClassVar[bool] = True

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """`high`."""
        return rows.group_by(keys).agg(count_of_rows(), pl.col("value").max().alias("high"))

    def units(self) -> pl.Expr:
        """The greatest."""
        return pl.col("high").cast(pl.Int128) * pl.col("scaled")
