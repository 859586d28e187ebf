"""What the first bytes of a text file tell of it: where its rows begin, how they end, and the header of a CSV file."""

import re
from dataclasses import replace
from typing import Final, NamedTuple

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.documents import has_rows
from ecompulse.io.files.kinds import delimiter_of, kind_of
from ecompulse.io.files.records import NEWLINE, RETURN, Layout
from ecompulse.io.files.streams import OpenFile
from ecompulse.kernels.event import MAX_ROW_BYTES
from ecompulse.kernels.foreign.dialect import PLAIN, Dialect, header_of, marked

_LOOK: Final = 64 * 1024
_MOST: Final = MAX_ROW_BYTES + _LOOK
_ENDS: Final = (NEWLINE, RETURN)
_BOM: Final = b"\xef\xbb\xbf"
_DOCUMENT: Final = re.compile(rb"\[\s*[\]{]|\{[ \t]*\r?\n")
"""How a document begins that is no row: an array of objects, or an object over several lines."""
_EXCEL: Final = re.compile(rb"sep=([^\r\n])\r?\n")


class Head(NamedTuple):
    """The beginning of a text file.

    Attributes:
        layout: of its records.
        start: of the first row, in bytes: after a byte order mark, and after the header of CSV.
        header: of CSV, without its line end (`marked`); else empty.
        rows: of a JSON document, where its rows are (see `OpenFile`); None for lines.
        ready: not so while a growing CSV file has no complete header yet.
    """

    layout: Layout
    start: int
    header: str = ""
    rows: str | None = None
    ready: bool = True


def head_of(path: str, *, whole: bool, dialect: Dialect = PLAIN) -> Head:
    """The head of a file; `whole`: it is complete.

    Raises:
        JobError: it cannot be read, or is CSV without a header in its first megabyte.
    """
    handle = OpenFile(path, dialect.encoding)
    try:
        if kind_of(path, dialect) == "csv":
            return _csv_head(path, handle, dialect, whole=whole)
        rows = dialect.rows
        if rows is not None and has_rows(handle.read(0, _LOOK).removeprefix(_BOM), rows):
            return Head(Layout(), 0, rows=rows)
        return _lines_head(handle)
    finally:
        handle.close()


def _lines_head(handle: OpenFile) -> Head:
    data = handle.read(0, _LOOK)
    if _DOCUMENT.match(data.removeprefix(_BOM).lstrip()):
        return Head(Layout(), len(_BOM) if data.startswith(_BOM) else 0, rows="")
    if len(data) == _LOOK and b"\n" not in data and b"\r" in data:
        data += handle.read(_LOOK, _MOST - _LOOK)
    start = len(_BOM) if data.startswith(_BOM) else 0
    if b"\n" not in data and 0 <= data.find(b"\r") < len(data) - 1:
        return Head(Layout(newline=RETURN), start)
    return Head(Layout(), start)


def _csv_head(path: str, handle: OpenFile, dialect: Dialect, *, whole: bool) -> Head:
    """CR alone ends its lines if it ends the header: cells may have LF in them."""
    delimiter = delimiter_of(path, dialect)
    layout = Layout(quoted=False)
    if dialect.quote is not None:
        layout = Layout(quoted=True, delimiter=ord(delimiter), quote=ord(dialect.quote))
    data = handle.read(0, _LOOK)
    if len(data) == _LOOK and _first_end(data, layout) is None:
        data += handle.read(_LOOK, _MOST - _LOOK)
        if len(data) == _MOST and _first_end(data, layout) is None:
            raise JobError(f"{path}: has no CSV header: its first line does not end within {MAX_ROW_BYTES:,} bytes")
    start = len(_BOM) if data.startswith(_BOM) else 0
    for _ in range(dialect.skip):
        end = data.find(b"\n", start)
        if end < 0:
            return Head(layout, 0, ready=False)
        start = end + 1
    if dialect.delimiter is None and (excel := _EXCEL.match(data[start:])):
        delimiter, start = excel[1].decode("latin-1"), start + excel.end()
        layout = replace(layout, delimiter=ord(delimiter))
    if not dialect.has_header:
        newline = (_first_end(data[start:], layout) or (0, NEWLINE))[1]
        return Head(replace(layout, newline=newline), start, _named(dialect, delimiter))
    start = len(data) - len(data[start:].lstrip(b"\r\n"))  # blank lines are no header
    end, newline = _first_end(data[start:], layout) or (len(data) - start if whole else 0, NEWLINE)
    header = data[start : start + end].decode("utf-8", errors="replace").rstrip("\r\n")
    said = _named(dialect, delimiter) if dialect.columns else marked(header, delimiter, dialect.quote)
    return Head(replace(layout, newline=newline), start + end if end else 0, said, ready=bool(end))


def _named(dialect: Dialect, delimiter: str) -> str:
    return marked(header_of(dialect.columns, delimiter, dialect.quote), delimiter, dialect.quote)


def _first_end(data: bytes, layout: Layout) -> tuple[int, int] | None:
    """Where the first record of CSV ends, and the byte that ends it; None when that is not known yet."""
    line, alone = (
        next(iter(replace(layout, newline=newline).ends(data, ended=False)), None) for newline in _ENDS
    )  # fmt: skip
    if alone is not None and alone < len(data) and data[alone] != NEWLINE and (line is None or alone < line):
        return int(alone), RETURN
    return None if line is None else (int(line), NEWLINE)
