"""Small files of rows, read whole: a name is a name, never a pattern."""

from pathlib import Path
from typing import Any, Final

import polars as pl

KINDS: Final = (".csv", ".jsonl", ".parquet")


def read_table(path: str | Path, schema: Any = None) -> pl.DataFrame:
    """The rows of a file of one of the KINDS: of CSV all columns as text, of JSON lines typed by all lines or `schema`.

    Raises:
        ValueError: a file of another kind.
        PolarsError, OSError: it cannot be read.
    """
    kind = Path(path).suffix.lower()
    if kind == ".parquet":
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    if kind == ".csv":
        return pl.read_csv(path, glob=False, infer_schema=False)
    if kind != ".jsonl":
        raise ValueError(f"{path}: is neither {' nor '.join(KINDS)}")
    with Path(path).open("rb") as lines:
        return pl.read_ndjson(lines, schema=schema, infer_schema_length=None)
