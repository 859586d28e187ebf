"""Events in the making to lines of JSON, by column: a fragment per field, joined where it is not null."""

from collections.abc import Callable
from typing import Final

import polars as pl

from ecompulse.kernels.event import FIELDS, Field, Kind

_ISO: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"
_FREE_TEXT: Final = frozenset({"query"})
"""Fields that may hold a quote or a backslash; all other text comes from this package and holds neither."""


def _text(field: Field) -> pl.Expr:
    value = pl.col(field.name)
    if field.name in _FREE_TEXT:
        value = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    return pl.concat_str(pl.lit(f'"{field.name}":"'), value, pl.lit('"'))


def _integer(field: Field) -> pl.Expr:
    return pl.concat_str(pl.lit(f'"{field.name}":'), pl.col(field.name).cast(pl.String))


def _money(field: Field) -> pl.Expr:
    """Hundredths as a JSON number with two digits behind the point."""
    value = pl.col(field.name)
    rest = (value % 100).cast(pl.String).str.zfill(2)
    return pl.concat_str(pl.lit(f'"{field.name}":'), (value // 100).cast(pl.String), pl.lit("."), rest)


def _time(field: Field) -> pl.Expr:
    """ISO 8601 from browsers and servers, epoch milliseconds from apps."""
    value = pl.col(field.name)
    iso = pl.concat_str(pl.lit('"'), value.cast(pl.Datetime("ms")).dt.to_string(_ISO), pl.lit('"'))
    either = pl.when("app").then(value.cast(pl.String)).otherwise(iso)
    return pl.concat_str(pl.lit(f'"{field.name}":'), either)


def _object(field: Field) -> pl.Expr:
    return pl.concat_str(pl.lit(f'"{field.name}":'), pl.col(field.name))


_FRAGMENTS: Final[dict[Kind, Callable[[Field], pl.Expr]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.MONEY: _money,
    Kind.TIME: _time,
    Kind.OBJECT: _object,
}

_LINE: Final = pl.concat_str(
    pl.lit("{"),
    pl.concat_str(
        [*(_FRAGMENTS[field.kind](field) for field in FIELDS), pl.col("extra")],
        separator=",",
        ignore_nulls=True,
    ),
    pl.lit("}"),
)


def encoded(rows: pl.DataFrame) -> pl.Series:
    """One line of JSON (without its end) per row of `ROW_SCHEMA`; null fields are left out."""
    return rows.select(line=_LINE).to_series()


def payload(lines: pl.Series) -> memoryview:
    """The bytes of a column of lines (Binary, each with its end), without copying them one by one."""
    array = lines.rechunk().to_arrow()
    if not len(array):
        return memoryview(b"")
    offsets = memoryview(array.buffers()[1]).cast("q")
    return memoryview(array.buffers()[2])[offsets[array.offset] : offsets[array.offset + len(array)]]
