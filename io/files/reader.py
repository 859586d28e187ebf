"""Reading the ranges of a plan, on workers."""

import threading
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.protocols import Split
from ecompulse.io.files.layout import head_of
from ecompulse.io.files.parquet import read_rows
from ecompulse.io.files.quarantine import letter_row
from ecompulse.io.files.records import CHUNK, Layout, OpenFile, is_compressed, suffix_of, to_rows
from ecompulse.kernels.event import LENGTH, MAX_ROW_BYTES, POSITION_SCHEMA

BATCH_ROWS: Final = 50_000


class FileReader:
    """Reads a split; compressed files go on from where this process last stopped."""

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """Batches of at most `BATCH_ROWS` rows.

        Text gives `raw` and the position; CSV also a column `header`, the same in every row; a record that is too large
        to be held its first bytes, and a column `length`. Parquet gives the file's own columns (`parquet.read_rows`)
        and the position. A range that stands for a file that cannot be read gives one row (`letter_row`).
        """
        if split.fault:
            yield positioned(letter_row(split), split, pl.Series([split.start]))
            return
        if suffix_of(split.uri) == ".parquet":
            rows = read_rows(split.uri, split.start, split.end)
            yield positioned(rows, split, pl.int_range(split.start, split.start + rows.height, eager=True))
            return
        head = head_of(split.uri, whole=True)
        frame = _huge(split) if split.end - split.start > CHUNK else _lines(split, head.layout)
        if head.layout.quoted:
            frame = frame.with_columns(header=pl.lit(head.header))
        batches = max(1, -(-frame.height // BATCH_ROWS))
        yield from frame.iter_slices(max(1, -(-frame.height // batches)))  # alike: a small rest costs like a large one


def positioned(frame: pl.DataFrame, split: Split, offset: pl.Series) -> pl.DataFrame:
    """Rows with where they were read."""
    position: dict[str, Any] = {
        "source": pl.lit(split.uri, POSITION_SCHEMA["source"]),
        "source_partition": pl.lit(split.source, POSITION_SCHEMA["source_partition"]),
        "source_offset": offset.cast(POSITION_SCHEMA["source_offset"]),
    }
    return frame.with_columns(**position)


def _lines(split: Split, layout: Layout) -> pl.DataFrame:
    data = _read(split.uri, split.start, split.end - split.start)
    raw, offset = to_rows(data, split.start, layout)
    return positioned(pl.DataFrame({"raw": raw}), split, offset)


def _huge(split: Split) -> pl.DataFrame:
    """The one record of a range that nobody can hold: its first bytes, enough to be refused, and its length."""
    data = _read(split.uri, split.start, MAX_ROW_BYTES + 1)
    frame = pl.DataFrame({"raw": [data], LENGTH: [split.end - split.start]})
    return positioned(frame, split, pl.Series([split.start]))


_last: dict[tuple[str, int, int], OpenFile] = {}
_one_at_a_time: Final = threading.Lock()


def _read(path: str, start: int, size: int) -> bytes:
    """Bytes of a file."""
    if is_compressed(path):
        data = _decompress(path, start, size)
    else:
        handle = OpenFile(path)
        try:
            data = handle.read(start, size)
        finally:
            handle.close()
    if len(data) < size:
        raise JobError(f"{path} shrank while it was read: {len(data)} of {size} bytes at {start}")
    return data


def _decompress(path: str, start: int, size: int) -> bytes:
    """Bytes of a compressed file; the last one stays open, since the next range, of any thread, often goes on in it."""
    with _one_at_a_time:
        opened = OpenFile(path)
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
