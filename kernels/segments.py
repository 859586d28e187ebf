"""Expressions over segments of consecutive rows: a segment begins wherever a condition holds.

The same as `over` with a number per segment, on rows that already stand in order; but in one pass over the
column, where `over` pays for each group.
"""

import polars as pl


def _latest_row(where: pl.Expr) -> pl.Expr:
    return pl.when(where).then(pl.int_range(pl.len(), dtype=pl.Int64)).forward_fill()


def ever(mark: pl.Expr, begins: pl.Expr) -> pl.Expr:
    """Whether `mark` held at this row or one before it in its segment."""
    return (_latest_row(mark) >= _latest_row(begins)).fill_null(value=False)


def latest(value: pl.Expr, begins: pl.Expr) -> pl.Expr:
    """The last value that is not null, up to this row of its segment."""
    return pl.when(ever(value.is_not_null(), begins)).then(value.forward_fill())


def running(value: pl.Expr, begins: pl.Expr) -> pl.Expr:
    """The sum up to this row of its segment; `value` without nulls."""
    total = value.cum_sum()
    return total - pl.when(begins).then(total - value).forward_fill()


def place(begins: pl.Expr) -> pl.Expr:
    """The row's place in its segment, from 1."""
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    return row - _latest_row(begins) + 1
