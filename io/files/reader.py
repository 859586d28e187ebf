"""Reading the ranges of a plan, on workers."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.protocols import Split
from ecompulse.io.files.kinds import is_closed, kind_of
from ecompulse.io.files.layout import Head, head_of
from ecompulse.io.files.parquet import read_rows
from ecompulse.io.files.quarantine import letter_row
from ecompulse.io.files.read_ahead import READ_AHEAD, Records
from ecompulse.io.files.records import CHUNK, to_rows
from ecompulse.io.files.streams import OpenFile
from ecompulse.kernels.event import LENGTH, MAX_ROW_BYTES, POSITION_SCHEMA
from ecompulse.kernels.foreign.dialect import PLAIN, Dialect

BATCH_ROWS: Final = 50_000


@dataclass(frozen=True)
class FileReader:
    """Reads a split; files that are read through a decoder go on from where this process last stopped.

    Attributes:
        dialect: how text files are written.
    """

    dialect: Dialect = PLAIN

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """Batches of at most `BATCH_ROWS` rows.

        Text gives `raw` and the position; CSV also a column `header`, the same in every row; a record that is too large
        to be held its first bytes, and a column `length`. Parquet gives the file's own columns (`parquet.read_rows`)
        and the position. A range that stands for a file that cannot be read gives one row (`letter_row`).
        """
        if split.fault:
            yield positioned(letter_row(split), split, pl.Series([split.start]))
            return
        if kind_of(split.uri, self.dialect) == "parquet":
            rows = read_rows(split.uri, split.start, split.end)
            yield positioned(rows, split, pl.int_range(split.start, split.start + rows.height, eager=True))
            return
        head = head_of(split.uri, whole=True, dialect=self.dialect)
        frame = (
            _huge(split, head, self.dialect)
            if split.rows == 1 and split.end - split.start > CHUNK
            else _lines(split, head, self.dialect)
        )
        if head.header:
            frame = frame.with_columns(header=pl.lit(head.header))
        batches = max(1, -(-frame.height // BATCH_ROWS))
        yield from frame.iter_slices(max(1, -(-frame.height // batches)))  # alike: a small rest costs like a large one


def positioned(frame: pl.DataFrame, split: Split, offset: pl.Series) -> pl.DataFrame:
    """Rows with where they were read; bytes of a file's name that are no text as escapes."""
    source = os.fsencode(split.uri).decode(errors="backslashreplace")
    position: dict[str, Any] = {
        "source": pl.lit(source, POSITION_SCHEMA["source"]),
        "source_partition": pl.lit(split.source, POSITION_SCHEMA["source_partition"]),
        "source_offset": offset.cast(POSITION_SCHEMA["source_offset"]),
    }
    return frame.with_columns(**position)


def _lines(split: Split, head: Head, dialect: Dialect) -> pl.DataFrame:
    raw, offset = to_rows(_records(split, head, dialect), split.start, head.layout)
    return positioned(pl.DataFrame({"raw": raw}), split, offset)


def _records(split: Split, head: Head, dialect: Dialect) -> Records:
    """As the plan has read them, if it was made in this process."""
    size = split.end - split.start
    ahead = READ_AHEAD.take((split.uri, dialect), split.start, size)
    if ahead:
        return ahead
    data = _read(split.uri, split.start, size, head, dialect)
    return Records(data, head.layout.ends(data, ended=True))


def _huge(split: Split, head: Head, dialect: Dialect) -> pl.DataFrame:
    """The one record of a range that nobody can hold: its first bytes, enough to be refused, and its length."""
    data = _read(split.uri, split.start, MAX_ROW_BYTES + 1, head, dialect)
    frame = pl.DataFrame({"raw": [data], LENGTH: [split.end - split.start]})
    return positioned(frame, split, pl.Series([split.start]))


_last: dict[tuple[Any, ...], OpenFile] = {}
_one_at_a_time: Final = threading.Lock()


def _read(path: str, start: int, size: int, head: Head, dialect: Dialect) -> bytes:
    """Bytes of a file, as they are once decoded."""
    handle = OpenFile(path, dialect.encoding, head.rows)
    if is_closed(path, dialect, document=head.rows is not None):
        data = _decoded(handle, start, size)
    else:
        try:
            data = handle.read(start, size)
        finally:
            handle.close()
    if len(data) < size:
        raise JobError(f"{path} shrank while it was read: {len(data)} of {size} bytes at {start}")
    return data


def _decoded(opened: OpenFile, start: int, size: int) -> bytes:
    """Bytes that come through a decoder; the last one stays open, since the next range often goes on in it."""
    with _one_at_a_time:
        key = opened.identity  # another file may have the name by now
        handle = _last.pop(key, opened)
        if handle is not opened:
            opened.close()
        for other in _last.values():
            other.close()
        _last.clear()
        data = handle.read(start, size)
        _last[key] = handle
        return data
