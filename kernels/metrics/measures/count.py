"""How many rows there are, or how many in which something is not null."""

from collections.abc import Sequence
from typing import ClassVar

import polars as pl

from ecompulse.kernels.metrics.measures.base import UNIT, Measure, count_of_rows
from ecompulse.kernels.metrics.typed import Typed


class Count(Measure):
    """`count`, all rows, or `count: expression`, those where it is not null."""

    name: ClassVar[str] = "count"
    plain: ClassVar[bool] = True
    money: ClassVar[bool] = False

    def column(self, found: Typed, text: str) -> tuple[pl.Expr, int]:  # noqa: ARG002
        """1 where there is something."""
        return found.expr.is_not_null().cast(pl.Int64), 0

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """`count`."""
        counted = pl.col("value").sum().alias("count") if "value" in rows.columns else count_of_rows()
        return rows.group_by(keys).agg(counted)

    def units(self) -> pl.Expr:
        """The count."""
        return pl.col("size") * UNIT
