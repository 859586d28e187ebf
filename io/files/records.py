"""Records of a text file as byte ranges: lines, or CSV records with line ends inside quotes.

Positions are offsets into the decompressed content, so that plain and gzip files look alike.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ecompulse.epochs.errors import JobError

CHUNK: Final = 24 * 1024 * 1024  # bytes read at a time: some 50,000 events, where decoding is at its fastest
NEWLINE: Final = ord("\n")
RETURN: Final = ord("\r")
QUOTE: Final = ord('"')


def is_compressed(path: str) -> bool:
    """Whether the file is read through gzip."""
    return path.endswith(".gz")


def suffix_of(path: str) -> str:
    """The format's suffix: `.jsonl`, `.csv` or `.parquet`, with or without `.gz`."""
    return Path(path.removesuffix(".gz")).suffix


def record_ends(chunk: bytes, *, quoted: bool, inside: bool) -> tuple[npt.NDArray[np.int64], bool]:
    """Offsets just after each record end in the chunk, and whether it ends inside quotes.

    With `quoted`, a line end counts only outside quotes: after an even number of quotes since the file's start;
    `inside` says how the chunk begins.
    """
    data = np.frombuffer(chunk, dtype=np.uint8)
    ends = np.flatnonzero(data == NEWLINE)
    if not quoted:
        return ends + 1, False
    quotes = np.flatnonzero(data == QUOTE)
    odd = (np.searchsorted(quotes, ends) + inside) % 2
    return ends[odd == 0] + 1, bool((len(quotes) + inside) % 2)


def count_blank(chunk: bytes, ends: npt.NDArray[np.int64], start: int, before: bytes) -> int:
    """How many of the records that end in the chunk are blank lines, which are no records.

    The first begins at `start` (bytes from the chunk's start, not above 0); `before` is the byte ahead of the chunk.
    """
    if not len(ends):
        return 0
    starts = np.concatenate([np.array([start], dtype=np.int64), ends[:-1]])
    lengths = ends - starts
    data = np.frombuffer(before + chunk, dtype=np.uint8)
    first_bytes = data[np.maximum(starts + len(before), 0)]
    return int(np.count_nonzero((lengths == 1) | ((lengths == 2) & (first_bytes == RETURN))))  # noqa: PLR2004  # CR LF


class OpenFile:
    """A text file open for forward reading.

    A gzip file keeps its decompressor and what it read last: to go back a little must not mean to decompress it
    from its start, for a plan reads ahead of what it takes.
    """

    def __init__(self, path: str) -> None:
        """Open; JobError when it cannot be."""
        self.path = path
        self._handle = self._open()
        self.position = 0  # of the handle
        self._kept = b""  # what was read last, up to the position; of gzip files only

    def _open(self) -> IO[bytes]:
        try:
            return gzip.open(self.path) if is_compressed(self.path) else Path(self.path).open("rb")  # type: ignore[return-value]  # GzipFile reads and seeks alike
        except OSError as error:
            raise JobError(f"{self.path}: cannot be read: {error.strerror or error}") from None

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`; fewer only at the end."""
        back = self.position - start
        known = self._kept[-back:][:size] if 0 < back <= len(self._kept) else b""
        if known and len(known) == size:
            return known
        try:
            if not known and back:
                self._handle.seek(start)  # gzip: forward by decompressing, backward from the start
            data = known + self._handle.read(size - len(known))
        except (OSError, EOFError, zlib.error) as error:
            raise JobError(f"{self.path}: damaged or incomplete: {error}") from None
        self.position = start + len(data)
        self._kept = data if is_compressed(self.path) else b""
        return data

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def scan(
    handle: OpenFile, start: int, max_records: int, *, quoted: bool, whole: bool
) -> Iterator[tuple[int, int, int, int]]:
    """Ranges (start, end, records, blank lines) of complete records from `start`, each within a chunk or so.

    Blank lines are no records, and count towards `max_records` all the same. A last record without its line end is
    included only when `whole` says that the file is complete. `start` must be the start of a record.
    """
    pending_start, inside = start, False
    position, before = start, b""
    while max_records > 0:
        chunk = handle.read(position, CHUNK)
        if not chunk:
            break
        ends, inside = record_ends(chunk, quoted=quoted, inside=inside)
        taken = min(len(ends), max_records)
        if taken:
            end = position + int(ends[taken - 1])
            blank = count_blank(chunk, ends[:taken], pending_start - position, before)
            yield pending_start, end, taken - blank, blank
            max_records -= taken
            pending_start = end
        position, before = position + len(chunk), chunk[-1:]
    carried = position - pending_start
    if whole and max_records > 0 and carried:
        blank = int(carried == 1 and before == b"\r")
        yield pending_start, position, 1 - blank, blank


def to_rows(data: bytes, start: int, *, quoted: bool) -> tuple[pl.Series, pl.Series]:
    """The records of a range as (raw Binary without line end, position Int64); blank lines are no records."""
    ends, _ = record_ends(data, quoted=quoted, inside=False)
    if not len(ends) or ends[-1] != len(data):
        ends = np.append(ends, len(data))
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    array = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
    frame = pl.DataFrame({"raw": pl.Series(values=array), "offset": starts + start})
    for ending in (b"\n", b"\r"):
        frame = frame.with_columns(
            raw=pl.when(pl.col("raw").bin.ends_with(ending))
            .then(pl.col("raw").bin.slice(0, pl.col("raw").bin.size() - 1))
            .otherwise("raw")
        )
    frame = frame.filter(pl.col("raw").bin.size() > 0)
    return frame["raw"], frame["offset"]
