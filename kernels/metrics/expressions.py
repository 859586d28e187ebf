"""A small typed language of filters and amounts, compiled to Polars expressions; nothing is ever evaluated.

The grammar is a part of Python's, read by `ast`: names of columns, `properties.x`, numbers, texts, `null`,
`true`, `false`, `== != < <= > >=`, `in`/`not in` a list of constants, `is null`, `is not null`, `and or not`,
`+ - *`, `a if condition else b`, `coalesce(a, b, ...)`, `lower(text)`, `path(text, n)` (the first n steps of
a dotted path). Nulls are SQL's: a comparison with null is null, and a filter that is null does not hold.
(Polars' own `sql_expr` would read a filter too, but it compares decimals as floats and has no types to check.)
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from operator import and_, or_
from typing import Any, Final

import polars as pl

from ecompulse.kernels.config import nearest

SCALE: Final = 4
"""Decimals of an amount: it is computed in whole units of 1/10^4."""

LIMIT: Final = 10**18
"""A computed number of this many units or more, either way, is null: it is no decimal(18,4)."""

_MAX_LENGTH: Final = 2_000
_UNIT: Final = 10**SCALE
_WORDS: Final = {"null": None, "true": True, "false": False}


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
class Expression:
    """An expression as written; checked for its grammar when it is made, for names and types when compiled.

    Raises:
        ValueError: names what is wrong.
    """

    text: str

    def __post_init__(self) -> None:
        names(self.tree)

    @property
    def tree(self) -> ast.expr:
        """Syntax tree."""
        if len(self.text) > _MAX_LENGTH:
            raise ValueError(f"an expression has at most {_MAX_LENGTH} characters")
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            hint = "; compare with ==" if " = " in self.text else ""
            raise ValueError(f"{self.text!r} is no expression ({getattr(error, 'msg', error)}){hint}") from None

    def compile(self, columns: "Columns") -> Typed:
        """The Polars expression over some columns.

        Raises:
            ValueError: for an unknown column, or types that do not fit.
        """
        return _compile(self.tree, columns)

    def condition(self, columns: "Columns") -> pl.Expr:
        """The same, which must be a condition."""
        found = self.compile(columns)
        if found.type is not Type.BOOLEAN:
            raise ValueError(f"{self.text!r} is {found.type.value}, not a condition")
        return found.expr


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
            return Typed(_bounded(column.to_physical()), Type.AMOUNT)
        if dtype.is_float():
            return Typed(_bounded(column.cast(pl.Decimal(38, SCALE), strict=False).to_physical()), Type.AMOUNT)
        if dtype.is_integer():
            return Typed(column.cast(pl.Int64), Type.INTEGER)
        known = {pl.String: Type.TEXT, pl.Boolean: Type.BOOLEAN, pl.Datetime: Type.TIME}
        for base, kind in known.items():
            if dtype == base:
                return Typed(column, kind)
        raise ValueError(f"column {name!r} is {dtype}, which no expression can use")


def names(tree: ast.AST) -> frozenset[str]:
    """Columns that an expression names; refuses what is not in the grammar.

    Raises:
        ValueError: names the part.
    """
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"{type(node).__name__} is not part of the language of expressions")
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS or node.keywords
        ):
            called = ast.unparse(node.func)
            raise ValueError(f"unknown function {called!r}{nearest(called, _FUNCTIONS)}")
    called_names = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = (n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called_names)
    return frozenset(n.id for n in found if n.id not in _WORDS)


def event_types(tree: ast.expr) -> frozenset[str] | None:
    """The only event types for which a filter can hold, if it plainly says so; None for any."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        known = [types for types in map(event_types, tree.values) if types is not None]
        return frozenset.intersection(*known) if known else None
    if isinstance(tree, ast.BoolOp):
        either = [event_types(value) for value in tree.values]
        return None if None in either else frozenset().union(*(types for types in either if types))
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        return None
    left, right = tree.left, tree.comparators[0]
    if not isinstance(left, ast.Name) or left.id != "event_type":
        return None
    if isinstance(tree.ops[0], ast.Eq) and isinstance(right, ast.Constant):
        return frozenset([str(right.value)])
    if isinstance(tree.ops[0], ast.In) and isinstance(right, ast.Tuple | ast.List | ast.Set):
        return frozenset(str(item.value) for item in right.elts if isinstance(item, ast.Constant))
    return None


def tells_types_only(tree: ast.expr) -> bool:
    """Whether a filter is nothing but a list of event types."""
    return isinstance(tree, ast.Compare) and event_types(tree) is not None


def _bounded(units: pl.Expr) -> pl.Expr:
    return pl.when(units.is_between(-LIMIT, LIMIT, closed="none")).then(units).cast(pl.Int64)


def _compile(node: ast.AST, columns: Columns) -> Typed:
    for kind, rule in _RULES.items():
        if isinstance(node, kind):
            return rule(node, columns)
    raise ValueError(f"{ast.unparse(node)!r} cannot stand here")


def _constant(node: ast.Constant, _: Columns) -> Typed:
    return _literal(node.value)


def _literal(value: object) -> Typed:
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
        units = Decimal(str(value)) * _UNIT
        if units != int(units) or abs(units) >= LIMIT:
            raise ValueError(f"{value} has more than {SCALE} decimals, or is too large")
        return Typed(pl.lit(int(units), pl.Int64), Type.AMOUNT)
    raise ValueError(f"{value!r} is no constant of the language")


def _name(node: ast.Name, columns: Columns) -> Typed:
    if node.id in _WORDS:
        return _literal(_WORDS[node.id])
    if node.id == "properties":
        raise ValueError("name a property: properties.x")
    return columns.typed(node.id)


def _property(node: ast.Attribute, columns: Columns) -> Typed:
    steps: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        steps.insert(0, inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name) or inner.id != "properties":
        raise ValueError(f"{ast.unparse(node)!r}: only `properties` has members")
    columns.typed("properties")
    path = "$" + "".join(f'["{step}"]' for step in steps)
    value = pl.col("properties").str.json_path_match(path)
    return Typed(pl.when(value != "null").then(value), Type.PROPERTY)  # JSON null comes as text


def _boolean(node: ast.BoolOp, columns: Columns) -> Typed:
    parts = [_expect(value, columns, Type.BOOLEAN) for value in node.values]
    return Typed(reduce(and_ if isinstance(node.op, ast.And) else or_, parts), Type.BOOLEAN)


def _unary(node: ast.UnaryOp, columns: Columns) -> Typed:
    if isinstance(node.op, ast.Not):
        return Typed(~_expect(node.operand, columns, Type.BOOLEAN), Type.BOOLEAN)
    found = _number(_compile(node.operand, columns), node)
    return Typed(-found.expr, found.type)


def _expect(node: ast.expr, columns: Columns, wanted: Type) -> pl.Expr:
    found = _compile(node, columns)
    if found.type is Type.PROPERTY and wanted is Type.BOOLEAN:
        return found.expr == "true"
    if found.type is not wanted:
        raise ValueError(f"{ast.unparse(node)!r} is {found.type.value}, not {wanted.value}")
    return found.expr


def _number(found: Typed, node: ast.AST) -> Typed:
    return number(found, ast.unparse(node))


def number(found: Typed, text: str) -> Typed:
    """An expression as a number; `text` is how it was written.

    Raises:
        ValueError: for what is none.
    """
    if found.type is Type.PROPERTY:
        units = found.expr.cast(pl.Decimal(38, SCALE), strict=False).to_physical()
        return Typed(_bounded(units), Type.AMOUNT)
    if found.type not in NUMBERS:
        raise ValueError(f"{text!r}: {found.type.value} is no number")
    return found


def _arithmetic(node: ast.BinOp, columns: Columns) -> Typed:
    left, right = (_number(_compile(side, columns), node) for side in (node.left, node.right))
    if isinstance(node.op, ast.Mult):
        if left.type is right.type is Type.AMOUNT:
            raise ValueError(f"{ast.unparse(node)!r}: of two factors one must be a whole number")
        product = left.expr.cast(pl.Int128) * right.expr.cast(pl.Int128)
        return Typed(_bounded(product), Type.AMOUNT if Type.AMOUNT in (left.type, right.type) else Type.INTEGER)
    one, other, kind = _alike(left, right)
    total = one + other if isinstance(node.op, ast.Add) else one - other
    return Typed(_bounded(total), kind)


def _alike(left: Typed, right: Typed) -> tuple[pl.Expr, pl.Expr, Type]:
    """Two numbers in the same units (Int128 where that is needed)."""
    kind = Type.AMOUNT if Type.AMOUNT in (left.type, right.type) else Type.INTEGER
    one, other = (
        side.expr * pl.lit(_UNIT, pl.Int128) if side.type is not kind else side.expr for side in (left, right)
    )
    return one.cast(pl.Int128), other.cast(pl.Int128), kind


_COMPARE: Final[dict[type, Callable[[Any, Any], pl.Expr]]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


def _comparison(node: ast.Compare, columns: Columns) -> Typed:
    sides = [node.left, *node.comparators]
    parts = [_one(op, sides[i], sides[i + 1], columns) for i, op in enumerate(node.ops)]
    return Typed(reduce(and_, parts), Type.BOOLEAN)


def _one(op: ast.cmpop, left: ast.expr, right: ast.expr, columns: Columns) -> pl.Expr:
    if isinstance(op, ast.Is | ast.IsNot):
        if _compile(right, columns).type is not Type.NULL:
            raise ValueError("`is` is for null; compare with ==")
        tested = _compile(left, columns).expr
        return tested.is_null() if isinstance(op, ast.Is) else tested.is_not_null()
    found = _compile(left, columns)
    if not isinstance(op, ast.In | ast.NotIn):
        return _compared(op, found, _compile(right, columns), left)
    if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
        raise ValueError(f"after `in` comes a list of constants, not {ast.unparse(right)!r}")
    any_of = reduce(or_, (_compared(ast.Eq(), found, _compile(item, columns), left) for item in right.elts))
    return any_of if isinstance(op, ast.In) else ~any_of


def _compared(op: ast.cmpop, left: Typed, right: Typed, node: ast.expr) -> pl.Expr:
    compare = _COMPARE[type(op)]
    if Type.NULL in (left.type, right.type):
        raise ValueError("a comparison with null never holds; write `is null` or `is not null`")
    if Type.PROPERTY in (left.type, right.type):
        other = right.type if left.type is Type.PROPERTY else left.type
        if other in NUMBERS:
            left, right = _number(left, node), _number(right, node)
        elif other is Type.BOOLEAN:
            left, right = (Typed(s.expr.cast(pl.String), Type.PROPERTY) for s in (left, right))
        else:
            return compare(left.expr, right.expr)
    if left.type in NUMBERS and right.type in NUMBERS:
        if left.type is right.type:
            return compare(left.expr, right.expr)
        one, other_side, _ = _alike(left, right)
        return compare(one, other_side)
    if left.type is not right.type:
        raise ValueError(f"{ast.unparse(node)!r} is {left.type.value}, and is compared with {right.type.value}")
    return compare(left.expr, right.expr)


def _conditional(node: ast.IfExp, columns: Columns) -> Typed:
    condition = _expect(node.test, columns, Type.BOOLEAN)
    one, other, kind = _unified([_compile(node.body, columns), _compile(node.orelse, columns)], node)[0:3]
    return Typed(pl.when(condition).then(one).otherwise(other), kind)


def _unified(found: list[Typed], node: ast.AST) -> tuple[Any, ...]:
    """Expressions of one type, then that type."""
    kinds = {item.type for item in found} - {Type.NULL}
    if kinds and kinds <= {*NUMBERS, Type.PROPERTY} and kinds & set(NUMBERS):
        numbers = [item if item.type is Type.NULL else _number(item, node) for item in found]
        kind = Type.AMOUNT if Type.AMOUNT in {item.type for item in numbers} else Type.INTEGER
        scaled = (i.expr * _UNIT if i.type is Type.INTEGER and kind is Type.AMOUNT else i.expr for i in numbers)
        return (*(_bounded(expr.cast(pl.Int128)) for expr in scaled), kind)
    if len(kinds) > 1:
        raise ValueError(f"{ast.unparse(node)!r} mixes {' and '.join(sorted(k.value for k in kinds))}")
    return (*(item.expr for item in found), kinds.pop() if kinds else Type.NULL)


def _call(node: ast.Call, columns: Columns) -> Typed:
    assert isinstance(node.func, ast.Name)  # noqa: S101  # `names` has checked it
    return _FUNCTIONS[node.func.id](node, columns)


def _coalesce(node: ast.Call, columns: Columns) -> Typed:
    if not node.args:
        raise ValueError("coalesce() needs arguments")
    *parts, kind = _unified([_compile(arg, columns) for arg in node.args], node)
    return Typed(pl.coalesce(parts), kind)


def _text(node: ast.expr, columns: Columns) -> pl.Expr:
    found = _compile(node, columns)
    if found.type not in (Type.TEXT, Type.PROPERTY):
        raise ValueError(f"{ast.unparse(node)!r} is {found.type.value}, not text")
    return found.expr


def _lower(node: ast.Call, columns: Columns) -> Typed:
    if len(node.args) != 1:
        raise ValueError("lower() takes one text")
    return Typed(_text(node.args[0], columns).str.to_lowercase(), Type.TEXT)


def _path(node: ast.Call, columns: Columns) -> Typed:
    depth = node.args[1].value if len(node.args) == 2 and isinstance(node.args[1], ast.Constant) else None  # noqa: PLR2004
    if not isinstance(depth, int) or depth < 1:
        raise ValueError("path() takes a text and a number of steps, from 1")
    text = _text(node.args[0], columns)
    return Typed(text.str.extract(rf"^((?:[^.]*\.){{{depth - 1}}}[^.]*)", 1).fill_null(text), Type.TEXT)


_FUNCTIONS: Final[dict[str, Callable[[ast.Call, Columns], Typed]]] = {
    "coalesce": _coalesce,
    "lower": _lower,
    "path": _path,
}

_RULES: Final[dict[type, Callable[[Any, Columns], Typed]]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _property,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.BinOp: _arithmetic,
    ast.Compare: _comparison,
    ast.IfExp: _conditional,
    ast.Call: _call,
}

_ALLOWED: Final = (
    ast.Constant, ast.Name, ast.Attribute, ast.Load, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In,
    ast.NotIn, ast.Is, ast.IsNot, ast.IfExp, ast.Call, ast.Tuple, ast.List, ast.Set,
)  # fmt: skip
