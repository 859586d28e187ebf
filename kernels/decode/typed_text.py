"""Typed columns as text: numbers, times, structs and lists as JSON writes them."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.decode.batch import nothing
from ecompulse.kernels.decode.json_rows import utf8
from ecompulse.kernels.segments import Flags

_ISO: Final = "%Y-%m-%dT%H:%M:%S%.3f"
_FINER: Final = {"us": "%Y-%m-%dT%H:%M:%S%.6f", "ns": "%Y-%m-%dT%H:%M:%S%.9f"}
_NS_PER_MS: Final = 1_000_000
_FIRST_DAY: Final = (date.min - date(1970, 1, 1)).days
_LAST_DAY: Final = (date.max - date(1970, 1, 1)).days
_PER_DAY: Final = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_PLAIN: Final = (pl.String, pl.Boolean)
_WRAPPER: Final = '{"v":'


def text_of(column: pl.Series) -> tuple[pl.Series, bool]:
    """A typed column as text, and whether that is a string (else JSON text)."""
    dtype = column.dtype
    if isinstance(dtype, pl.BaseExtension):
        return text_of(column.ext.storage())
    if dtype.is_nested():
        return _nested(column), False
    if dtype.is_numeric() or dtype == pl.Boolean:
        text = column.cast(pl.String)
        return text.str.replace("inf", "Infinity", literal=True) if dtype.is_float() else text, False
    return _characters(column), True


def _characters(column: pl.Series) -> pl.Series:
    """A column of strings, bytes or times as strings."""
    dtype = column.dtype
    if dtype == pl.Null:
        return nothing(column.len())
    if dtype == pl.Binary:
        return utf8(column)
    if isinstance(dtype, pl.Datetime | pl.Date):
        far = _far(column, dtype)
        if far.any():  # as numbers: neither Polars nor Python knows such a time
            near = column.zip_with(~far, column.clear().extend_constant(None, column.len()))
            return column.to_physical().cast(pl.String).zip_with(far, _characters(near))
    if isinstance(dtype, pl.Datetime):
        return _iso(column, dtype)
    if dtype == pl.Time:
        return column.dt.to_string("%H:%M:%S%.f")
    return column.dt.to_string("iso") if isinstance(dtype, pl.Duration) else column.cast(pl.String)


def _far(column: pl.Series, dtype: pl.Datetime | pl.Date) -> pl.Series:
    """Rows with a time before the year 1 or after 9999."""
    unit = _PER_DAY[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1
    limits = np.iinfo(np.int64)
    first, last = max(_FIRST_DAY * unit, limits.min), min((_LAST_DAY + 1) * unit - 1, limits.max)
    return (~column.to_physical().is_between(first, last)).fill_null(value=False)


def _iso(column: pl.Series, dtype: pl.Datetime) -> pl.Series:
    """ISO 8601 in milliseconds, and finer in rows where there is anything finer to tell."""
    zone = "Z" if dtype.time_zone else ""
    moments = column.dt.convert_time_zone("UTC") if zone else column
    text = moments.dt.strftime(_ISO + zone)
    fine = (moments.dt.nanosecond() % _NS_PER_MS != 0).fill_null(value=False)
    return text.zip_with(~fine, moments.dt.strftime(_FINER[dtype.time_unit] + zone)) if fine.any() else text


def _nested(column: pl.Series) -> pl.Series:
    """JSON text of structs and lists; Polars writes NaN as null and no bytes, so those rows go through Python."""
    if not all(leaf in _PLAIN or leaf.is_integer() or leaf.is_float() for leaf in _leaves(column.dtype)):
        texts = [None if item is None else json.dumps(item, default=plain) for item in _listed(column)]
        return pl.Series(texts, dtype=pl.String)
    value = pl.col("v")
    wrapped = pl.struct("v").struct.json_encode()
    text = wrapped.str.strip_prefix(_WRAPPER).str.strip_suffix("}")
    found = column.alias("v").to_frame().select(pl.when(value.is_not_null()).then(text)).to_series()
    if not _finite(column):
        rows = np.flatnonzero(_not_finite(column))
        found = found.scatter(rows, [json.dumps(item) for item in column.gather(rows).to_list()])
    return found


def _listed(column: pl.Series) -> list[Any]:
    """The values of a column for Python; of a row with a time that Python does not know, all times as numbers."""
    if not _any_far(column):
        with suppress(OverflowError, ValueError):  # midnight of the year 10000, in a zone
            return column.to_list()
    half = column.len() // 2
    return _listed(column[:half]) + _listed(column[half:]) if half else column.cast(_numbered(column.dtype)).to_list()


def _any_far(column: pl.Series) -> bool:
    """Whether a time, however deep in a column, is none that Python knows."""
    return any(_is_far(part) for part in _parts(column))


def _is_far(column: pl.Series) -> bool:
    dtype = column.dtype
    if isinstance(dtype, pl.Duration):
        return bool((column.dt.total_days().abs() >= timedelta.max.days).any())
    return isinstance(dtype, pl.Datetime | pl.Date) and bool(_far(column, dtype).any())


def _numbered(dtype: Any) -> Any:
    """A type with numbers for times."""
    if isinstance(dtype, pl.Struct):
        return pl.Struct({part.name: _numbered(part.dtype) for part in dtype.fields})
    if isinstance(dtype, pl.List):
        return pl.List(_numbered(dtype.inner))
    if isinstance(dtype, pl.Array):
        return pl.Array(_numbered(dtype.inner), dtype.size)
    return pl.Int64() if dtype.is_temporal() else dtype


def plain(value: Any) -> str:
    """The text of a value that JSON does not have, within a list or a struct."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _finite(column: pl.Series) -> bool:
    """Whether no number of a column, however deep in it, is NaN or infinite."""
    return all(not part.dtype.is_float() or bool(part.is_finite().all()) for part in _parts(column))


def _not_finite(column: pl.Series) -> Flags:
    """Rows with a number, however deep in it, that is NaN or infinite."""
    found = np.zeros(column.len(), dtype=bool)
    if isinstance(column.dtype, pl.Struct):
        for part in column.dtype.fields:
            found |= _not_finite(column.struct.field(part.name))
    elif isinstance(column.dtype, pl.Array):
        return _not_finite(column.arr.to_list())
    elif isinstance(column.dtype, pl.List):
        items = column.explode(empty_as_null=False, keep_nulls=False)
        found[np.repeat(np.arange(found.size), column.list.len().fill_null(0))[_not_finite(items)]] = True
    elif column.dtype.is_float():
        found = (~column.is_finite()).fill_null(value=False).to_numpy()
    return found


def _parts(column: pl.Series) -> Iterator[pl.Series]:
    """The columns of plain values that a column is made of."""
    if isinstance(column.dtype, pl.Struct):
        for part in column.dtype.fields:
            yield from _parts(column.struct.field(part.name))
    elif isinstance(column.dtype, pl.List | pl.Array):
        yield from _parts(column.explode())
    else:
        yield column


def _leaves(dtype: Any) -> list[Any]:
    if isinstance(dtype, pl.Struct):
        return [leaf for part in dtype.fields for leaf in _leaves(part.dtype)]
    if isinstance(dtype, pl.List | pl.Array):
        return _leaves(dtype.inner)
    return [dtype]
