"""Rows as text: JSON lines, and CSV that a spreadsheet opens without running anything."""

import io
import json
from typing import Final

import polars as pl
import polars.selectors as cs

_BYTES_AS_TEXT = cs.binary().bin.encode("base64")
"""Bytes (the raw form of dead letters) as base64, as in protobuf's JSON: nothing is lost, whatever they are."""

_FORMULA: Final = r"\A[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
"""How a cell begins that a spreadsheet takes for a formula, or strips until it is one; also in full width."""

_AS_TEXT: Final = "'$0"


def json_lines(frame: pl.DataFrame) -> bytes:
    """One JSON object per row; bytes are base64."""
    lines = io.BytesIO()  # not by way of a text, which is as large once more
    frame.with_columns(_BYTES_AS_TEXT).write_ndjson(lines)
    return lines.getvalue()


def csv(frame: pl.DataFrame) -> str:
    """CSV with a header: bytes as base64, structs and lists as JSON text, null as nothing.

    Texts, and names of columns, that a spreadsheet would take for a formula have a `'` before them; numbers and times
    are as they are.
    """
    nested = [_as_json(column) for column in frame.select(cs.nested())]
    texts = cs.string() | cs.categorical() | cs.enum()
    flat = frame.with_columns(_BYTES_AS_TEXT, *nested).with_columns(
        texts.cast(pl.String).str.replace(_FORMULA, _AS_TEXT)
    )
    flat.columns = pl.Series(flat.columns, dtype=pl.String).str.replace(_FORMULA, _AS_TEXT).to_list()
    return flat.write_csv()


def _as_json(column: pl.Series) -> pl.Series:
    texts = [None if value is None else json.dumps(value, default=str) for value in column.to_list()]
    return pl.Series(column.name, texts, dtype=pl.String)
