"""Partition values of data files: as a table's log has them, and as columns typed by the table's schema."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl
from deltalake import Schema

from ecompulse.io.files.parquet import own_name

_DECIMAL: Final = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_DTYPES: Final[Mapping[str, Any]] = {
    "string": pl.String(),
    "byte": pl.Int8(),
    "short": pl.Int16(),
    "integer": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "timestamp_ntz": pl.Datetime("us"),
    "binary": pl.Binary(),
}


def in_log(value: Any) -> str | None:
    """A partition value as the protocol writes it into the log."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):  # the log's own text, escapes and all
        return value.decode(errors="backslashreplace")
    return None if value is None else str(value)


def kinds_of(schema: Schema) -> dict[str, str]:
    """Type of each column of a simple type, as the protocol names it."""
    kinds = {field.name: getattr(field.type, "type", "") for field in schema.fields}
    return {name: kind for name, kind in kinds.items() if kind in _DTYPES or _DECIMAL.fullmatch(kind)}


def columns(values: Mapping[str, str | None], kinds: Mapping[str, str]) -> dict[str, pl.Expr]:
    """The columns of a file's partition values; an empty text is null, as the protocol has it."""
    return {own_name(name): _literal(text, kinds.get(name, "string")) for name, text in values.items()}


def _literal(text: str | None, kind: str) -> pl.Expr:
    found = _DECIMAL.fullmatch(kind)
    dtype = pl.Decimal(int(found[1]), int(found[2])) if found else _DTYPES[kind]
    return pl.lit(_READ.get(kind, Decimal if found else str)(text) if text else None, dtype)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("byte", "short", "integer", "long"), int),
    **dict.fromkeys(("float", "double"), float),
    "boolean": lambda text: text == "true",
    "date": date.fromisoformat,
    "timestamp": _moment,
    "timestamp_ntz": datetime.fromisoformat,
    "binary": _bytes,
}
