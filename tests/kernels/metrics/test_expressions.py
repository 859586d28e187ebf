"""Expressions of any shape: exact at each level, and cheap however long they are."""

import time
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import MONEY
from ecompulse.kernels.metrics.expressions import Expression
from ecompulse.kernels.metrics.typed import LIMIT, Columns
from support.examples import examples

ROWS = pl.DataFrame(
    {
        "quantity": [2, None, 3, -1, LIMIT - 1, LIMIT, 10**14],
        "price": [
            Decimal("1.5"),
            Decimal(2),
            None,
            Decimal(0),
            Decimal("99999999999999.9999"),
            Decimal("-0.0001"),
            None,
        ],
    },
    schema_overrides={"price": MONEY},
)
COLUMNS = Columns(ROWS.schema, {})
UNITS = {"quantity": ROWS["quantity"].to_list(), "price": ROWS["price"].to_physical().to_list()}

LEAVES = st.sampled_from(["quantity", "price", "1", "10000", "0.5", f"{LIMIT - 1}", "9999999999.5"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-*"), inner, inner),
        st.tuples(st.just("coalesce"), inner, inner),
        st.tuples(st.just("if"), inner, inner),
        st.tuples(st.just("minus"), inner),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"x":"null"}', "null"), ('{"x":null}', None), ('{"x":"\\u006eull"}', "null"), ("{}", None),
        ("null", None), (None, None),
        ('{"x":"a"}', "a"), ('{"x":{"x":"null"}}', '{"x":"null"}'), ('{"y":"null","x":null}', None),
        ('[{"x":"null"}]', None),
        ('{"x":["null"]}', '["null"]'), ("broken", None), ('{"x":null,"x":"null"}', "null"),
    ],
)  # fmt: skip
def test_the_text_null_of_a_property_is_not_null(text, found):
    rows = pl.DataFrame({"properties": [text, None]}, schema={"properties": pl.String})
    columns = Columns(rows.schema, {})
    said = Expression("properties.x").compile(columns).expr
    assert rows.select(said=said)["said"].to_list() == [found, None]
    assert rows.select(there=Expression("properties.x is not null").condition(columns))["there"][0] is (
        found is not None
    )
    deep = rows.select(
        properties=pl.concat_str(pl.lit('{"a":{"b c":'), pl.coalesce("properties", pl.lit("{}")), pl.lit("}}"))
    )
    said = Expression("properties.a['b c'].x").compile(columns).expr
    assert deep.select(said=said)["said"][0] == found


def text_of(tree):
    if isinstance(tree, str):
        return tree
    parts = [text_of(part) for part in tree[1:]]
    shapes = {"coalesce": "coalesce({0}, {1})", "if": "({0} if quantity > 1 else {1})", "minus": "-({0})"}
    return shapes.get(tree[0], f"({{0}} {tree[0]} {{1}})").format(*parts)


def is_amount(tree):
    if isinstance(tree, str):
        return tree == "price" or "." in tree
    return any(is_amount(part) for part in tree[1:])


def mixes_factors(tree):
    """A product of two amounts, which is refused."""
    if isinstance(tree, str):
        return False
    return (tree[0] == "*" and all(is_amount(part) for part in tree[1:])) or any(map(mixes_factors, tree[1:]))


def within(units):
    return units if units is not None and abs(units) < LIMIT else None


def worth(tree, row):
    """A tree's units in one row, by Python's whole numbers."""
    if tree in UNITS:
        return within(UNITS[tree][row])
    if isinstance(tree, str):
        return int(Decimal(tree) * 10_000) if "." in tree else int(tree)
    values = [worth(part, row) for part in tree[1:]]
    if tree[0] == "minus":
        return None if values[0] is None else -values[0]
    if is_amount(tree) and tree[0] != "*":
        scaled = zip(values, tree[1:], strict=True)
        values = [value if value is None or is_amount(part) else value * 10_000 for value, part in scaled]
    one, other = values
    if tree[0] in {"coalesce", "if"}:
        one, other = within(one), within(other)
        first = (one is not None) if tree[0] == "coalesce" else (within(UNITS["quantity"][row]) or 0) > 1
        return one if first else other
    if one is None or other is None:
        return None
    return within({"+": one + other, "-": one - other, "*": one * other}[tree[0]])


@given(TREES.filter(lambda tree: not mixes_factors(tree)))
@examples(150)
def test_numbers_are_exact_and_null_beyond_the_bounds_at_every_level(tree):
    found = ROWS.select(quantity=Expression(text_of(tree)).compile(COLUMNS).expr, rows="quantity")["quantity"]
    assert found.to_list() == [worth(tree, row) for row in range(ROWS.height)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("quantity" + " + 1" * 200, 202),
        ("1 + (" * 190 + "quantity" + ")" * 190, 192),
        ("quantity" + " * 1" * 200, 2),
        ("coalesce(" * 90 + "quantity" + ", price)" * 90, 20_000),
        ("1 if quantity > 5 else " * 80 + "0.5", 5_000),
        ("quantity in (" + ", ".join(map(str, range(400))) + ")", True),
        (" or ".join(["quantity == 9"] * 110), False),
        ("path(" * 90 + "'a.b'" + ", 1)" * 90, "a"),
        ("-" * 240 + "quantity", 2),
        ("not " * 240 + "true", True),
    ],
)
def test_the_cost_of_an_expression_grows_with_its_length(text, first):
    start = time.process_time()
    assert ROWS.select(value=Expression(text).compile(COLUMNS).expr)["value"][0] == first
    assert time.process_time() - start < 5  # a tenth of that; it was minutes, or all memory
