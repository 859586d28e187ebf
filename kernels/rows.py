"""Rows as the stateful kernels carry them: which columns, which reference, which millisecond."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import polars as pl

from ecompulse.kernels.event import MONEY_LIMIT, ORDER, POSITION_SCHEMA, TIME

DUE: Final = "_due"
"""Column of state (Int64 ms, null for never): when a row is to be looked at again."""

ORDER_SCHEMA: Final = pl.Schema({"event_time": TIME, **POSITION_SCHEMA})
"""Columns of the total order (`event.ORDER`)."""

CAME_LATE: Final = "came_late"
"""Column (Boolean) of settled rows: the watermark had passed the row when it was read. Null where nobody has said."""

FILE: Final = "stage_file"
FILE_ROW: Final = "stage_row"

REFERENCE: Final = pl.Schema({FILE: pl.String(), FILE_ROW: pl.UInt32()})
"""Columns that refer to a row that waits in a file of the run; valid within the epoch."""

DAY_MS: Final = 86_400_000

_SEPARATOR: Final = "\x1f"  # ASCII unit separator: no file or topic is named with it


def no_rows(schema: Mapping[str, Any]) -> pl.DataFrame:
    """A frame without rows. Polars takes 5 us a column to make one, so each schema's is made once."""
    return _no_rows(tuple(schema.items())).clone()


@lru_cache(1024)
def _no_rows(schema: tuple[tuple[str, Any], ...]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


def reference() -> pl.Expr:
    """Text that names a row by its position: unique, never null, equal in every run."""
    parts = [pl.col(name).cast(pl.String).fill_null("") for name in POSITION_SCHEMA]
    return pl.concat_str(parts, separator=_SEPARATOR)


def millis(column: str = "event_time") -> pl.Expr:
    """A time column as Int64 milliseconds since 1970."""
    return pl.col(column).dt.epoch("ms")


def line_amount(price: pl.Expr, quantity: pl.Expr) -> pl.Expr:
    """Price by quantity with the decimals of money; null where money cannot hold it.

    An article number in the field of quantity must not stop a job.
    """
    fits = (price.cast(pl.Float64) * quantity.cast(pl.Float64)).abs() < float(MONEY_LIMIT)
    return pl.when(fits).then(price) * pl.when(fits).then(quantity)


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in the total order, as they are when they stand so: wide rows are moved once at the most."""
    order = rows.select(pl.arg_sort_by(ORDER, maintain_order=True)).to_series().to_numpy()
    return rows if (order[1:] > order[:-1]).all() else rows[order]


def divided(rows: pl.DataFrame, wanted: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are not wanted, and those that are; wide rows are copied only if there are both."""
    mask = rows.select(wanted).to_series()
    if mask.all():
        return rows.clear(), rows
    if not mask.any():
        return rows, rows.clear()
    return rows.filter(~mask), rows.filter(mask)


def conform(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The columns of a schema; those that `rows` does not have are null."""
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in rows.columns]
    return rows.with_columns(absent).select(schema.names())


def next_day(moment: pl.Expr) -> pl.Expr:
    """First UTC midnight at or after `moment` (ms): lapsed keys are tidied together, not one step each."""
    return (moment + (DAY_MS - 1)) // DAY_MS * DAY_MS


def check_columns(operator: str, columns: pl.Schema, needed: Iterable[str]) -> None:
    """Refuse a schema of carried columns that lacks what the operator reads, or hides what it adds.

    Raises:
        ValueError: names the operator and the columns.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ValueError(f"{operator}: columns must also have {', '.join(missing)}")
    private = [name for name in columns if name.startswith("_")]
    if private:
        raise ValueError(f"{operator}: names that begin with _ are the kernel's own: {', '.join(private)}")


def check_duration(operator: str, name: str, value: int) -> None:
    """Refuse a negative duration (ms).

    Raises:
        ValueError: names the operator and the setting.
    """
    if value < 0:
        raise ValueError(f"{operator}: {name} must be 0 ms or more, not {value}")
