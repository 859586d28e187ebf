"""What expressions are made of: constants, properties, and numbers in the same units."""

import ast
from decimal import Decimal
from math import isfinite
from typing import Final

import polars as pl

from ecompulse.kernels.metrics.typed import LIMIT, NUMBERS, SCALE, Columns, Type, Typed, bounded

WORDS: Final = {"null": None, "true": True, "false": False}

UNIT: Final = 10**SCALE
"""Of an amount, in a whole number."""


def shown(node: ast.AST) -> str:
    """A part of an expression as a message shows it."""
    try:
        return ast.unparse(node)
    except RecursionError:
        return type(node).__name__


def literal(value: object) -> Typed:
    """A constant.

    Raises:
        ValueError: for one that no number of the language can be.
    """
    if value is None:
        return Typed(pl.lit(None), Type.NULL)
    if isinstance(value, bool):
        return Typed(pl.lit(value), Type.BOOLEAN)
    if isinstance(value, str):
        return Typed(pl.lit(value), Type.TEXT)
    if isinstance(value, int):
        if abs(value) >= LIMIT:
            raise ValueError(f"{value} is too large")
        return Typed(pl.lit(value, pl.Int64), Type.INTEGER)
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"a number is less than {LIMIT // UNIT}")
        units = Decimal(str(value)) * UNIT
        if units != int(units) or abs(units) >= LIMIT:
            raise ValueError(f"{value} has more than {SCALE} decimals, or is too large")
        return Typed(pl.lit(int(units), pl.Int64), Type.AMOUNT)
    raise ValueError(f"{value!r} is no constant of the language")


def member(node: ast.Attribute | ast.Subscript, columns: Columns) -> Typed:
    """A property, as text.

    Raises:
        ValueError: for a member of anything else.
    """
    steps: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute | ast.Subscript):
        steps.insert(0, inner.attr if isinstance(inner, ast.Attribute) else _key(inner))
        inner = inner.value
    if not isinstance(inner, ast.Name) or inner.id != "properties":
        raise ValueError(f"{shown(node)!r}: only `properties` has members")
    columns.typed("properties")
    path = "$" + "".join(f'["{step}"]' for step in steps)
    return Typed(pl.col("properties").str.json_path_match(path), Type.PROPERTY)  # JSON null is null, and "null" a text


def _key(node: ast.Subscript) -> str:
    """Of `properties['from']`, for names that Python keeps for itself."""
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    if not isinstance(key, str) or not key or {'"', "\\"} & set(key):
        raise ValueError(f"{shown(node)!r}: a member is a text without quotes and backslashes")
    return key


def holds(found: Typed) -> Typed:
    """A property as a condition; all else as it is."""
    return Typed(found.expr == "true", Type.BOOLEAN) if found.type is Type.PROPERTY else found


def number(found: Typed, text: str) -> Typed:
    """An expression as a number; `text` is how it was written.

    Raises:
        ValueError: for what is none.
    """
    if found.type is Type.PROPERTY:
        units = found.expr.cast(pl.Decimal(38, SCALE), strict=False).to_physical()
        return Typed(bounded(units), Type.AMOUNT)
    if found.type not in NUMBERS:
        raise ValueError(f"{text!r}: {found.type.value} is no number")
    return found


def alike(left: Typed, right: Typed) -> tuple[pl.Expr, pl.Expr, Type]:
    """Two numbers in the same units (Int128 where that is needed)."""
    kind = Type.AMOUNT if Type.AMOUNT in (left.type, right.type) else Type.INTEGER
    one, other = (side.expr * pl.lit(UNIT, pl.Int128) if side.type is not kind else side.expr for side in (left, right))
    return one.cast(pl.Int128), other.cast(pl.Int128), kind


def in_units(found: Typed, kind: Type) -> pl.Expr:
    """A number, or null, in the units of a kind of number (Int64)."""
    if found.type is Type.INTEGER and kind is Type.AMOUNT:
        return bounded(found.expr.cast(pl.Int128) * pl.lit(UNIT, pl.Int128))
    return found.expr.cast(pl.Int64)  # it is within the bounds
