"""Values as the columns of look-ups and update streams have them; null for what a column's type cannot hold."""

from datetime import date
from typing import Final

import polars as pl

from ecompulse.kernels.event import TIME

_YES: Final = ("true", "1")
_NO: Final = ("false", "0")
_EPOCH: Final = date(1970, 1, 1)
_DAYS: Final = ((date.min - _EPOCH).days, (date.max - _EPOCH).days)
"""The days of the years 1 to 9999: readers of tables know no others."""
_DAY_MS: Final = 86_400_000


def read_text(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """What a text says, as a type has it; times are ISO 8601 or epoch milliseconds."""
    if dtype == pl.Boolean():
        lower = text.str.to_lowercase()
        return pl.when(lower.is_in([*_YES, *_NO])).then(lower.is_in(list(_YES)))
    if isinstance(dtype, pl.Datetime):
        moment = text.str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False)
        return _known(pl.coalesce(moment, text.cast(pl.Int64, strict=False).cast(TIME)).cast(dtype), dtype)
    if dtype == pl.Date():
        return _known(text.str.to_date("%F", strict=False), dtype)
    return _known(text.cast(dtype, strict=False), dtype)


def fit(value: pl.Expr, source: pl.DataType, dtype: pl.DataType) -> pl.Expr:
    """A value of a typed column as another type has it."""
    if source == pl.String() or (dtype == pl.Boolean() and source != dtype):
        return read_text(value.cast(pl.String), dtype)
    found = value.cast(dtype, strict=False)
    if dtype.is_integer() and source.is_decimal():
        found = pl.when(found.cast(source, strict=False) == value).then(found)
    return _known(found, dtype)


def lost(given: pl.Expr, value: pl.Expr) -> pl.Expr:
    """Where a value was given that its column could not take."""
    return given.is_not_null() & value.is_null()


def _known(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The value, if it is a finite number, or a time that every reader of a table knows."""
    first, last = _DAYS
    if dtype.is_float():
        return pl.when(value.is_finite()).then(value)
    if dtype == pl.Date():
        return pl.when(value.to_physical().is_between(first, last)).then(value)
    if isinstance(dtype, pl.Datetime):
        within = value.dt.epoch("ms").is_between(first * _DAY_MS, (last + 1) * _DAY_MS, closed="left")
        return pl.when(within).then(value)
    return value
