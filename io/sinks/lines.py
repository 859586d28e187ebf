"""Rows as text: JSON lines, and the flat columns that CSV needs."""

import json

import polars as pl
import polars.selectors as cs

_BYTES_AS_TEXT = cs.binary().bin.encode("base64")
"""Bytes (the raw form of dead letters) as base64, as in protobuf's JSON: nothing is lost, whatever they are."""


def json_lines(frame: pl.DataFrame) -> bytes:
    """One JSON object per row; bytes are base64."""
    return frame.with_columns(_BYTES_AS_TEXT).write_ndjson().encode()


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns that CSV can hold: bytes as base64, structs and lists as JSON text, null stays null."""
    nested = [_as_json(column) for column in frame.select(cs.nested())]
    return frame.with_columns(_BYTES_AS_TEXT, *nested)


def _as_json(column: pl.Series) -> pl.Series:
    texts = [None if value is None else json.dumps(value, default=str) for value in column.to_list()]
    return pl.Series(column.name, texts, dtype=pl.String)
