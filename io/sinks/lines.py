"""Rows as JSON lines."""

import polars as pl
import polars.selectors as cs


def json_lines(frame: pl.DataFrame) -> bytes:
    """One JSON object per row; bytes (the raw form of dead letters) are base64, as in protobuf's JSON."""
    return frame.with_columns(cs.binary().bin.encode("base64")).write_ndjson().encode()
