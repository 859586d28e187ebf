"""Syntax trees of expressions to Polars expressions, type by type."""

import ast
from collections.abc import Callable, Sequence
from operator import and_, or_
from typing import Any, Final

import polars as pl

from ecompulse.kernels.metrics.terms import WORDS, alike, holds, in_units, literal, member, number, shown
from ecompulse.kernels.metrics.typed import NUMBERS, Columns, Type, Typed, bounded

_MAX_STEPS: Final = 100  # of a path; the pattern grows with them


def compile_tree(node: ast.AST, columns: Columns) -> Typed:
    """The Polars expression of a tree that `expressions.names` has checked.

    Raises:
        ValueError: for an unknown column, or types that do not fit.
    """
    for kind, rule in _RULES.items():
        if isinstance(node, kind):
            return rule(node, columns)
    raise ValueError(f"{shown(node)!r} cannot stand here")


def _constant(node: ast.Constant, _: Columns) -> Typed:
    return literal(node.value)


def _name(node: ast.Name, columns: Columns) -> Typed:
    if node.id in WORDS:
        return literal(WORDS[node.id])
    if node.id == "properties":
        raise ValueError("name a property: properties.x")
    return columns.typed(node.id)


def _boolean(node: ast.BoolOp, columns: Columns) -> Typed:
    parts = [_expect(value, columns, Type.BOOLEAN) for value in node.values]
    return Typed(_joined(and_ if isinstance(node.op, ast.And) else or_, parts), Type.BOOLEAN)


def _joined(op: Callable[[pl.Expr, pl.Expr], pl.Expr], parts: Sequence[pl.Expr]) -> pl.Expr:
    """All by `and` or `or`, half by half: Polars takes minutes for a thousand in a row."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return op(_joined(op, parts[:half]), _joined(op, parts[half:]))


def _unary(node: ast.UnaryOp, columns: Columns) -> Typed:
    if isinstance(node.op, ast.Not):
        return Typed(~_expect(node.operand, columns, Type.BOOLEAN), Type.BOOLEAN)
    found = _number(compile_tree(node.operand, columns), node)
    return Typed(-found.expr, found.type)


def _expect(node: ast.expr, columns: Columns, wanted: Type) -> pl.Expr:
    found = compile_tree(node, columns)
    if wanted is Type.BOOLEAN:
        found = holds(found)
    if found.type is not wanted:
        raise ValueError(f"{shown(node)!r} is {found.type.value}, not {wanted.value}")
    return found.expr


def _number(found: Typed, node: ast.AST) -> Typed:
    fits = found.type in (*NUMBERS, Type.PROPERTY)
    return number(found, "" if fits else shown(node))


def _arithmetic(node: ast.BinOp, columns: Columns) -> Typed:
    left = _number(compile_tree(node.left, columns), node)
    right = _number(compile_tree(node.right, columns), node)
    if isinstance(node.op, ast.Mult):
        if left.type is right.type is Type.AMOUNT:
            raise ValueError(f"{shown(node)!r}: of two factors one must be a whole number")
        product = left.expr.cast(pl.Int128) * right.expr.cast(pl.Int128)
        return Typed(bounded(product), Type.AMOUNT if Type.AMOUNT in (left.type, right.type) else Type.INTEGER)
    one, other, kind = alike(left, right)
    total = one + other if isinstance(node.op, ast.Add) else one - other
    return Typed(bounded(total), kind)


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
    return Typed(_joined(and_, parts), Type.BOOLEAN)


def _one(op: ast.cmpop, left: ast.expr, right: ast.expr, columns: Columns) -> pl.Expr:
    if isinstance(op, ast.Is | ast.IsNot):
        if compile_tree(right, columns).type is not Type.NULL:
            raise ValueError("`is` is for null; compare with ==")
        tested = compile_tree(left, columns).expr
        return tested.is_null() if isinstance(op, ast.Is) else tested.is_not_null()
    found = compile_tree(left, columns)
    if not isinstance(op, ast.In | ast.NotIn):
        return _compared(op, found, compile_tree(right, columns), left)
    if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
        raise ValueError(f"after `in` comes a list of constants, not {shown(right)!r}")
    any_of = _joined(or_, [_compared(ast.Eq(), found, compile_tree(item, columns), left) for item in right.elts])
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
        one, other_side, _ = alike(left, right)
        return compare(one, other_side)
    if left.type is not right.type:
        raise ValueError(f"{shown(node)!r} is {left.type.value}, and is compared with {right.type.value}")
    return compare(left.expr, right.expr)


def _conditional(node: ast.IfExp, columns: Columns) -> Typed:
    condition = _expect(node.test, columns, Type.BOOLEAN)
    one, other, kind = _unified([compile_tree(node.body, columns), compile_tree(node.orelse, columns)], node)[0:3]
    return Typed(pl.when(condition).then(one).otherwise(other), kind)


def _unified(found: list[Typed], node: ast.AST) -> tuple[Any, ...]:
    """Expressions of one type, then that type."""
    kinds = {item.type for item in found} - {Type.NULL}
    if kinds and kinds <= {*NUMBERS, Type.PROPERTY} and kinds & set(NUMBERS):
        numbers = [item if item.type is Type.NULL else _number(item, node) for item in found]
        kind = Type.AMOUNT if Type.AMOUNT in {item.type for item in numbers} else Type.INTEGER
        return (*(in_units(item, kind) for item in numbers), kind)
    if kinds == {Type.TEXT, Type.PROPERTY}:
        kinds = {Type.TEXT}
    if len(kinds) > 1:
        raise ValueError(f"{shown(node)!r} mixes {' and '.join(sorted(k.value for k in kinds))}")
    return (*(item.expr for item in found), kinds.pop() if kinds else Type.NULL)


def _call(node: ast.Call, columns: Columns) -> Typed:
    assert isinstance(node.func, ast.Name)  # noqa: S101  # `names` has checked it
    return FUNCTIONS[node.func.id](node, columns)


def _coalesce(node: ast.Call, columns: Columns) -> Typed:
    if not node.args:
        raise ValueError("coalesce() needs arguments")
    *parts, kind = _unified([compile_tree(arg, columns) for arg in node.args], node)
    return Typed(pl.coalesce(parts), kind)


def _text(node: ast.expr, columns: Columns) -> pl.Expr:
    found = compile_tree(node, columns)
    if found.type not in (Type.TEXT, Type.PROPERTY):
        raise ValueError(f"{shown(node)!r} is {found.type.value}, not text")
    return found.expr


def _lower(node: ast.Call, columns: Columns) -> Typed:
    if len(node.args) != 1:
        raise ValueError("lower() takes one text")
    return Typed(_text(node.args[0], columns).str.to_lowercase(), Type.TEXT)


def _path(node: ast.Call, columns: Columns) -> Typed:
    depth = node.args[1].value if len(node.args) == 2 and isinstance(node.args[1], ast.Constant) else None  # noqa: PLR2004
    if not isinstance(depth, int) or isinstance(depth, bool) or not 1 <= depth <= _MAX_STEPS:
        raise ValueError(f"path() takes a text and a number of steps, from 1 to {_MAX_STEPS}")
    text = _text(node.args[0], columns)
    return Typed(text.str.extract(rf"^((?:[^.]*\.){{0,{depth - 1}}}[^.]*)", 1), Type.TEXT)  # of fewer steps all


FUNCTIONS: Final[dict[str, Callable[[ast.Call, Columns], Typed]]] = {
    "coalesce": _coalesce,
    "lower": _lower,
    "path": _path,
}

_RULES: Final[dict[type, Callable[[Any, Columns], Typed]]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: member,
    ast.Subscript: member,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.BinOp: _arithmetic,
    ast.Compare: _comparison,
    ast.IfExp: _conditional,
    ast.Call: _call,
}
