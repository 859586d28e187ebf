"""Rows of Parquet files, whatever the types of their columns."""

from itertools import accumulate
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.streams import UnreadableFile
from ecompulse.kernels.event import OWN, TAKEN

UNREADABLE: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, OSError)


def count_rows(path: str) -> int:
    """Rows of a file, by its footer; UnreadableFile when it has none."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except UNREADABLE as error:
        raise UnreadableFile(f"{path}: is no complete Parquet file: {one_line(error)}") from None


def column_names(path: str) -> list[str]:
    """Of the file's columns."""
    return list(pq.read_schema(path).names)


def read_rows(uri: str, start: int, end: int, options: dict[str, str] | None = None) -> pl.DataFrame:
    """Rows of a file from `start` to `end`; `options` are of its bucket. JobError when it cannot be read.

    Columns with names that rows as read have for themselves (TAKEN) are escaped.
    """
    scan = pl.scan_parquet(uri, glob=False, hive_partitioning=False, storage_options=options)
    try:
        frame = scan.slice(start, end - start).collect()
    except UNREADABLE as error:
        if not Path(uri).is_file():
            raise _unreadable(uri, error) from None
        frame = _by_arrow(uri, start, end)
    return frame.rename({name: own_name(name) for name in frame.columns})


def own_name(name: str) -> str:
    """The name of a column among rows as read, where it must not be taken for one of theirs."""
    return OWN + name if name in TAKEN or name.startswith(OWN) else name


def _by_arrow(path: str, start: int, end: int) -> pl.DataFrame:
    """The same where Polars lacks a type: such columns as text, or as lists."""
    try:
        with pq.ParquetFile(path) as file:
            counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            ends = list(accumulate(counts))
            groups = [n for n, rows in enumerate(counts) if ends[n] - rows < end and ends[n] > start]
            before = ends[groups[0]] - counts[groups[0]] if groups else 0
            table = file.read_row_groups(groups).slice(start - before, end - start)
        return pl.DataFrame(pa.table({name: _known(table[name]) for name in table.column_names}))
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _known(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_list_view(column.type) or pa.types.is_large_list_view(column.type):
        return column.cast(pa.large_list(column.type.value_type))
    return column.cast(pa.string()) if pa.types.is_decimal256(column.type) else column


def _unreadable(uri: str, error: BaseException) -> JobError:
    return UnreadableFile(f"{uri}: cannot be read: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0]
