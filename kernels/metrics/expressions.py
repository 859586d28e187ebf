"""A small typed language of filters and amounts, compiled to Polars expressions; nothing is ever evaluated.

The grammar is a part of Python's, read by `ast`: names of columns, `properties.x`
(`properties['x']` for a name that is none), numbers, texts, `null`,
`true`, `false`, `== != < <= > >=`, `in`/`not in` a list of constants, `is null`, `is not null`, `and or not`,
`+ - *`, `a if condition else b`, `coalesce(a, b, ...)`, `lower(text)`, `path(text, n)` (the first n steps of
a dotted path). Nulls are SQL's: a comparison with null is null, and a filter that is null does not hold.
(Polars' own `sql_expr` would read a filter too, but it compares decimals as floats and has no types to check.)
"""

import ast
import keyword
import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from ecompulse.kernels.config import nearest
from ecompulse.kernels.metrics.compiled import FUNCTIONS, compile_tree
from ecompulse.kernels.metrics.terms import WORDS, holds
from ecompulse.kernels.metrics.typed import Columns, Type, Typed

_MAX_LENGTH: Final = 2_000
_MAX_DEPTH: Final = 250  # 250 terms of a sum; Polars' time grows with the square of it, and Python's stack ends
_MAX_SIZE: Final = 5_000
_TOO_DEEP: Final = f"an expression is nested at most {_MAX_DEPTH} deep, which is also the limit of terms in a row"

_ALLOWED: Final = (
    ast.Constant, ast.Name, ast.Attribute, ast.Load, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In,
    ast.NotIn, ast.Is, ast.IsNot, ast.IfExp, ast.Call, ast.Tuple, ast.List, ast.Set, ast.Subscript,
)  # fmt: skip

_KEYWORD: Final = re.compile(rf"\bproperties(?:\.\w+)*?\.({'|'.join(keyword.kwlist)})\b")


@dataclass(frozen=True)
class Expression:
    """An expression as written; checked for its grammar when it is made, for names and types when compiled.

    Raises:
        ValueError: names what is wrong.
    """

    text: str

    def __post_init__(self) -> None:
        tree = self.tree
        _check_size(tree)
        names(tree)

    @property
    def tree(self) -> ast.expr:
        """Syntax tree."""
        if len(self.text) > _MAX_LENGTH:
            raise ValueError(f"an expression has at most {_MAX_LENGTH} characters")
        try:
            return _parsed(self.text.strip())
        except (RecursionError, MemoryError):
            raise ValueError(_TOO_DEEP) from None
        except (SyntaxError, ValueError) as error:
            word = _KEYWORD.search(self.text)
            hint = f"; {word[1]} is a keyword, write properties['{word[1]}']" if word else ""
            hint = "; compare with ==" if " = " in self.text else hint
            raise ValueError(f"{self.text!r} is no expression ({getattr(error, 'msg', error)}){hint}") from None

    def compile(self, columns: "Columns") -> Typed:
        """The Polars expression over some columns.

        Raises:
            ValueError: for an unknown column, or types that do not fit.
        """
        try:
            return compile_tree(self.tree, columns)
        except RecursionError:  # where the stack was half full before
            raise ValueError(_TOO_DEEP) from None

    def condition(self, columns: "Columns") -> pl.Expr:
        """The same, which must be a condition."""
        found = holds(self.compile(columns))
        if found.type is not Type.BOOLEAN:
            raise ValueError(f"{self.text!r} is {found.type.value}, not a condition")
        return found.expr


def _parsed(text: str) -> ast.expr:
    """The tree of a text, which may have several lines."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        if "\n" not in text:
            raise
        ast.parse(f"[{text}\n]", mode="eval")  # so it closes no bracket that it has not opened
        return ast.parse(f"({text}\n)", mode="eval").body


def _check_size(tree: ast.expr) -> None:
    """Refuse a tree that is too deep, or that names too much too often."""
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        level = [child for node in level for child in _operands(node)]
    if _size(tree) > _MAX_SIZE:
        raise ValueError("an expression that compares a long one so often is too large; compare it once")


def _operands(node: ast.AST) -> list[ast.expr]:
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _size(node: ast.expr) -> int:
    """Nodes of the compiled expression: what is compared with several is compiled once for each."""
    sizes = [_size(child) for child in _operands(node)]
    if isinstance(node, ast.Compare):
        listed = [max(len(_operands(right)), 1) if isinstance(op, ast.In | ast.NotIn) else 1
                  for op, right in zip(node.ops, node.comparators, strict=True)]  # fmt: skip
        left = sum(size * times for size, times in zip(sizes, listed, strict=False))
        return left + sum(sizes[1:])
    return 1 + sum(sizes)


def names(tree: ast.AST) -> frozenset[str]:
    """Columns that an expression names; refuses what is not in the grammar.

    Raises:
        ValueError: names the part.
    """
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Subscript) and not _is_text(node.slice)):
            raise ValueError(  # a user's text, not a programmer's type
                f"{type(node).__name__} is not part of the language of expressions"
            )
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords
        ):
            called = ast.unparse(node.func)
            raise ValueError(f"unknown function {called!r}{nearest(called, FUNCTIONS)}")
    called_names = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = (n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called_names)
    return frozenset(n.id for n in found if n.id not in WORDS)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def event_types(tree: ast.expr) -> frozenset[str] | None:
    """The only event types for which a filter can hold, if it plainly says so; None for any."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        known = [types for types in map(event_types, tree.values) if types is not None]
        return frozenset.intersection(*known) if known else None
    if isinstance(tree, ast.BoolOp):
        either = [event_types(value) for value in tree.values]
        return None if None in either else frozenset().union(*(types for types in either if types))
    return _listed(tree) if isinstance(tree, ast.Compare) and len(tree.ops) == 1 else None


def _listed(tree: ast.Compare) -> frozenset[str] | None:
    """Constants that `event_type` is compared with by `==` or `in`."""
    right, op = tree.comparators[0], tree.ops[0]
    items: list[ast.expr] = []
    if isinstance(op, ast.Eq):
        items = [right]
    elif isinstance(op, ast.In) and isinstance(right, ast.Tuple | ast.List | ast.Set):
        items = right.elts
    if not isinstance(tree.left, ast.Name) or tree.left.id != "event_type" or not items:
        return None
    known = [str(item.value) for item in items if isinstance(item, ast.Constant)]
    return frozenset(known) if len(known) == len(items) else None


def tells_types_only(tree: ast.expr) -> bool:
    """Whether a filter is nothing but a list of event types."""
    return isinstance(tree, ast.Compare) and event_types(tree) is not None
