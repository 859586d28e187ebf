"""Records of a text file as byte ranges: lines, or CSV records with line ends inside quotes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from ecompulse.io.files.quoting import DELIMITER, QUOTE, Positions, outside_quotes
from ecompulse.io.files.read_ahead import Records
from ecompulse.io.files.streams import OpenFile

CHUNK: Final = 24 * 1024 * 1024  # bytes read at a time: some 50,000 events, where decoding is at its fastest
NEWLINE: Final = ord("\n")
RETURN: Final = ord("\r")
_SHORT: Final = 2  # bytes of CR LF
_BLANK: Final = 64  # bytes of line ends from which it is asked how many there are
_BLOCK: Final = 1024 * 1024  # bytes of line ends that are looked at together: positions of all would take gigabytes


@dataclass(frozen=True)
class Layout:
    """How the records of a text file are told apart.

    Attributes:
        quoted: line ends inside quotes are none.
        newline: the byte that ends a line: LF, after a CR or not, or CR alone.
        delimiter: the byte between cells.
        quote: the byte around them.
    """

    quoted: bool = False
    newline: int = NEWLINE
    delimiter: int = DELIMITER
    quote: int = QUOTE

    def ends(self, chunk: bytes, *, ended: bool) -> Positions:
        """Offsets just after each record in the chunk, which begins with one.

        With `ended` nothing follows, so that a last record needs no line end.
        """
        if not chunk:
            return np.zeros(0, dtype=np.int64)
        data = np.frombuffer(chunk, dtype=np.uint8)
        ends = np.flatnonzero(data == self.newline)
        if self.quoted:
            ends = outside_quotes(data, ends, self.newline, ended=ended, delimiter=self.delimiter, quote=self.quote)
        if ended and (not len(ends) or ends[-1] + 1 < len(chunk)):
            ends = np.append(ends, len(chunk) - 1)
        return ends + 1

    def blank(self, chunk: bytes, ends: Positions) -> int:
        """How many of the records with these ends are blank lines, which are no records."""
        data = np.frombuffer(chunk, dtype=np.uint8)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
        short = np.flatnonzero(ends - starts <= _SHORT)
        first, last, lengths = data[starts[short]], data[ends[short] - 1], (ends - starts)[short]
        alone = (lengths == 1) & ((first == self.newline) | (first == RETURN))
        return int(np.count_nonzero(alone | ((lengths == _SHORT) & (first == RETURN) & (last == NEWLINE))))


class Range(NamedTuple):
    """A range of a file.

    Attributes:
        start: where it begins.
        end: where the next one begins.
        rows: records in it.
        blank: blank lines in it.
        read: the records, if they have been held.
    """

    start: int
    end: int
    rows: int
    blank: int
    read: Records | None = None


def scan(handle: OpenFile, start: int, max_records: int, layout: Layout, *, whole: bool) -> Iterator[Range]:
    """Ranges of complete records from `start`, each within `CHUNK` bytes.

    A record that has no end within so many bytes is a range of its own, which is larger: nobody holds it. Blank lines
    are no records, and count towards `max_records` all the same. A megabyte of them is a range of its own, which counts
    nothing: else a small archive of line ends would be ten thousand epochs. A last record without its line end is
    included only when `whole` says that the file is complete. `start` must be the start of a record.
    """
    while max_records > 0:
        data = handle.read(start, CHUNK)
        last = len(data) < CHUNK
        nothing = _blank_lines(data, layout)
        if nothing:
            yield Range(start, start + nothing, 0, 0)
            start += nothing
            continue
        ends = layout.ends(data, ended=last and whole)[:max_records]
        if len(ends):
            end, blank = int(ends[-1]), layout.blank(data, ends)
            yield Range(start, start + end, len(ends) - blank, blank, Records(data, ends))
            max_records -= len(ends)
            start += end
        elif not last and (cut := _first_end(data, layout)):
            yield Range(start, start + cut, 1, 0)
            max_records -= 1
            start += cut
        elif last or not (after := _next_line(handle, start + len(data), layout.newline, whole=whole)):
            return
        else:
            yield Range(start, after, 1, 0)
            max_records -= 1
            start = after


def _first_end(data: bytes, layout: Layout) -> int:
    """Where the first record ends if a quote that is not closed in the data is text; 0 where none does."""
    ends = layout.ends(data, ended=True)
    return int(ends[0]) if len(ends) and ends[0] < len(data) else 0


def _blank_lines(data: bytes, layout: Layout) -> int:
    """Bytes at the start of a record that are nothing but blank lines, if those are many; else 0."""
    if data[:_BLANK].strip(b"\r\n"):
        return 0
    most, at = len(data) - len(data.lstrip(b"\r\n")), 0
    while most - at >= _BLOCK:
        block = data[at : at + _BLOCK]
        ends = layout.ends(block, ended=False)
        if not len(ends) or layout.blank(block, ends) < len(ends):
            break
        at += int(ends[-1])
    return at


def _next_line(handle: OpenFile, at: int, newline: int, *, whole: bool) -> int | None:
    """Where the next line begins, found without holding what is before; None where none ends."""
    while data := handle.read(at, CHUNK):
        found = data.find(newline)
        if found >= 0:
            return at + found + 1
        at += len(data)
    return at if whole else None


def to_rows(records: Records, start: int, layout: Layout) -> tuple[pl.Series, pl.Series]:
    """The records of a range as (raw Binary without line end, position Int64); blank lines are no records."""
    data, ends = np.frombuffer(records.data, dtype=np.uint8), records.ends
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    starts = offsets[:-1]
    sizes = np.diff(offsets)
    for ending in (layout.newline, RETURN):
        sizes -= (sizes > 0) & (data[starts + sizes - 1] == ending)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(records.data)]
    array = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends), buffers)
    frame = pl.DataFrame({"raw": pl.Series(values=array), "size": sizes, "source_offset": starts + start})
    frame = frame.filter(pl.col("size") > 0).with_columns(pl.col("raw").bin.slice(0, pl.col("size")))
    return frame["raw"], frame["source_offset"]
