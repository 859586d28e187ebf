"""Rows of Parquet files, whatever the types of their columns."""

from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.streams import UnreadableFile
from ecompulse.kernels.event import OWN, TAKEN

_LISTS: Final = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)

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
    frame = _by_polars(uri, start, end, options) if options or not _beyond_polars(uri) else _by_arrow(uri, start, end)
    return frame.rename({name: own_name(name) for name in frame.columns})


def _by_polars(uri: str, start: int, end: int, options: dict[str, str] | None) -> pl.DataFrame:
    scan = pl.scan_parquet(uri, glob=False, hive_partitioning=False, storage_options=options)
    try:
        return scan.slice(start, end - start).collect()
    except UNREADABLE as error:
        if not Path(uri).is_file():
            raise _unreadable(uri, error) from None
        return _by_arrow(uri, start, end)


def _beyond_polars(path: str) -> bool:
    """Whether a file has a type that Polars lacks: it would panic, and print where."""
    try:
        kinds = [field.type for field in pq.read_schema(path)]
    except UNREADABLE:  # which is said when its rows are read
        return False
    return any(_known(kind) != kind for kind in kinds)


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
        columns = [column.cast(_known(column.type)) for column in table.columns]
        return pl.DataFrame(pa.table(columns, names=table.column_names))
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _known(kind: pa.DataType) -> pa.DataType:
    """A type, or where Polars lacks it one that says the same: times of a zone that it lacks are those of UTC."""
    if pa.types.is_decimal256(kind):
        return pa.string()
    if pa.types.is_timestamp(kind) and kind.tz:
        return kind if _is_zone(kind.tz) else pa.timestamp(kind.unit, "UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_known(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_known(kind.key_type), _known(kind.item_type))
    return _list_of(kind) if any(is_one(kind) for is_one in _LISTS) else kind


def _list_of(kind: pa.DataType) -> pa.DataType:
    item = kind.value_field.with_type(_known(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(item, kind.list_size)
    return pa.list_(item) if pa.types.is_list(kind) else pa.large_list(item)


@cache
def _is_zone(name: str) -> bool:
    """Whether Polars knows a zone; of offsets it knows those of whole hours."""
    try:
        return pl.Series([], dtype=pl.Datetime("us", name)).is_empty()
    except pl.exceptions.PolarsError:
        return False


def _unreadable(uri: str, error: BaseException) -> JobError:
    return UnreadableFile(f"{uri}: cannot be read: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0]
