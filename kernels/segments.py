"""Segments of consecutive rows: expressions over them, where a condition says that one begins, and their NumPy side.

The same as `over` with a number per segment, on rows that already stand in order; but in one pass over the
column, where `over` pays for each group.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


def changes(*columns: npt.NDArray[Any]) -> Flags:
    """Whether each row differs from the one before it in any of the columns; the first does."""
    differs = np.ones(columns[0].size, dtype=bool)
    if differs.size:
        differs[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return differs


def first_places(first: Flags) -> Places:
    """For each row the place of the first row of its segment; `first` says which rows those are."""
    return np.maximum.accumulate(np.where(first, np.arange(first.size), 0))


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
