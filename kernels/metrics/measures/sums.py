"""Sums, and what is divided by how many there are."""

from collections.abc import Sequence
from typing import ClassVar

import polars as pl

from ecompulse.kernels.metrics.measures.base import UNIT, Measure, divided


class Sum(Measure):
    """`sum: expression`; nulls are left out, and a window without any has 0."""

    name: ClassVar[str] = "sum"
    plain: ClassVar[bool] = True

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """`total`, and the `count` of what is not null."""
        value = pl.col("value")
        total = value.cast(pl.Int128).sum().alias("total")
        return rows.group_by(keys).agg(value.count().cast(pl.Int64).alias("count"), total)


class Mean(Sum):
    """`mean: expression`, of what is not null; null in a window without any."""

    name: ClassVar[str] = "mean"
    plain: ClassVar[bool] = False
    quotient: ClassVar[bool] = True

    def denominator(self) -> pl.Expr:
        """How many there are."""
        return pl.col("size0") * UNIT

    def value(self) -> pl.Expr:
        """Rounded half to even."""
        return divided()
