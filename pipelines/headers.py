"""Whether the columns of the input are those that the mapping names, before any row is read by it."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Source
from ecompulse.kernels.config import nearest
from ecompulse.kernels.decode.csv_rows import CsvHeaderError, column_names
from ecompulse.kernels.decode.entry import Form, form_of
from ecompulse.kernels.event import POSITION_SCHEMA
from ecompulse.kernels.mapping import EVENT, Mapping

REQUIRED: Final = (("event_id",), ("event_type",), ("event_time",), ("user_id", "anonymous_id"))
"""Fields of which one each must be there."""


def check_header(source: Source, rows: pl.DataFrame, mapping: Mapping | None, flag: str) -> None:
    """UserError when a CSV header, or a table's columns, lack what the mapping names or an event must have.

    JSON has no header: keys may come with later rows.
    """
    columns = columns_of(rows, source)
    if columns is None:
        return
    mapping = mapping or EVENT
    for field, column in mapping.fields.items():
        if column not in columns:
            close = nearest(column, columns)
            raise UserError(
                f"--mapping: fields.{field}: {_where(source, rows)} has no column {column!r}{close}; its columns are "
                f"{', '.join(columns)}"
            )
    for fields in REQUIRED:
        if not any(_fed(field, mapping, columns) for field in fields):
            raise UserError(
                f"--{flag}: {_where(source, rows)} has no column for {' or '.join(fields)}, which an event must have; "
                f"name one in --mapping. Its columns are {', '.join(columns)}"
            )


def columns_of(rows: pl.DataFrame, source: Source) -> Sequence[str] | None:
    """Columns of the file that rows are from; None for JSON."""
    form = form_of(rows)
    if form is Form.COLUMNS:
        return [name for name in rows.columns if name not in POSITION_SCHEMA]
    if form is Form.JSON:
        return None
    try:
        return column_names(str(rows["header"][0]))
    except CsvHeaderError as error:
        raise UserError(f"--source: {_where(source, rows)}: {error}") from None


def _fed(field: str, mapping: Mapping, columns: Sequence[str]) -> bool:
    if field in mapping.constants or (field == "event_id" and mapping.event_id == "hash"):
        return True
    return mapping.fields.get(field, field) in columns


def _where(source: Source, rows: pl.DataFrame) -> str:
    return str(rows["source"][0]) if rows.height else source.uri
