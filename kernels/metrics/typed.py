"""Types of expressions, and the columns that they name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import polars as pl

from ecompulse.kernels.config import nearest

SCALE: Final = 4
"""Decimals of an amount: it is computed in whole units of 1/10^4."""

_DIGITS: Final = 18

LIMIT: Final = 10**_DIGITS
"""A computed number of this many units or more, either way, is null: it is no decimal(18,4)."""


class Type(StrEnum):
    """Type of an expression: amounts are Int64 units of 1/10^4, a property is text that may be a number."""

    TEXT = "text"
    INTEGER = "a whole number"
    AMOUNT = "an amount"
    BOOLEAN = "a condition"
    TIME = "a time"
    PROPERTY = "a property"
    NULL = "null"


NUMBERS: Final = (Type.INTEGER, Type.AMOUNT)


@dataclass(frozen=True)
class Typed:
    """A compiled expression: Int64 for numbers, String, Boolean or Datetime else."""

    expr: pl.Expr
    type: Type


@dataclass(frozen=True)
class Columns:
    """What names mean: the frame's columns, and stand-ins by name that take precedence."""

    schema: pl.Schema
    instead: dict[str, pl.Expr]

    def typed(self, name: str) -> Typed:
        """A column by name."""
        dtype = self.schema.get(name)
        if dtype is None:
            raise ValueError(f"unknown column {name!r}{nearest(name, self.schema)}")
        column = self.instead.get(name, pl.col(name))
        if isinstance(dtype, pl.Decimal):
            if dtype.scale != SCALE:
                column = column.cast(pl.Decimal(38, SCALE))
            return Typed(_bounded_column(column.to_physical()), Type.AMOUNT)
        if dtype.is_float():
            return Typed(_bounded_column(column.cast(pl.Decimal(38, SCALE), strict=False).to_physical()), Type.AMOUNT)
        if dtype.is_integer():
            return Typed(_bounded_column(column), Type.INTEGER)
        known = {pl.String: Type.TEXT, pl.Boolean: Type.BOOLEAN, pl.Datetime: Type.TIME}
        for base, kind in known.items():
            if dtype == base:
                return Typed(column, kind)
        raise ValueError(f"column {name!r} is {dtype}, which no expression can use")


def bounded(units: pl.Expr) -> pl.Expr:
    """Whole numbers (any width) as Int64, null beyond `LIMIT`.

    They are named once, for they may be a tree: a condition on them would double it at each level. A decimal of so many
    digits is exactly what is within.
    """
    return units.cast(pl.Decimal(_DIGITS, 0), strict=False).to_physical().cast(pl.Int64)


def _bounded_column(units: pl.Expr) -> pl.Expr:
    """The same of a column, which costs nothing to name twice."""
    return pl.when(units.is_between(-LIMIT, LIMIT, closed="none")).then(units).cast(pl.Int64)
