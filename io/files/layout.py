"""What the first bytes of a text file tell of it: where its rows begin, how they end, and the header of a CSV file."""

from typing import Final, NamedTuple

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.records import NEWLINE, RETURN, Layout, OpenFile, suffix_of
from ecompulse.kernels.event import MAX_ROW_BYTES

_LOOK: Final = 64 * 1024
_GLANCE: Final = 256
_JSON: Final = frozenset((".json", ".jsonl", ".ndjson"))
_MOST: Final = MAX_ROW_BYTES + _LOOK
_ENDS: Final = (NEWLINE, RETURN)
_BOM: Final = b"\xef\xbb\xbf"


class Head(NamedTuple):
    """The beginning of a text file.

    Attributes:
        layout: of its records.
        start: of the first row, in bytes: after a byte order mark, and after the header of CSV; 0 while a growing CSV
            file has no complete header yet.
        header: of CSV, without its line end; else empty.
    """

    layout: Layout
    start: int
    header: str = ""


def head_of(path: str, *, whole: bool) -> Head:
    """The head of a file; `whole`: it is complete.

    Raises:
        JobError: it cannot be read, or is CSV without a header in its first megabyte.
    """
    handle = OpenFile(path)
    try:
        return _csv_head(path, handle, whole=whole) if suffix_of(path) == ".csv" else _lines_head(handle)
    finally:
        handle.close()


def document_hint(path: str) -> str | None:
    """What to say of a JSON file that is one document, an array or an object over several lines; None for rows."""
    if suffix_of(path) not in _JSON:
        return None
    handle = OpenFile(path)
    try:
        first = handle.read(0, _GLANCE).removeprefix(_BOM).lstrip()
    except JobError:  # said when it is read
        return None
    finally:
        handle.close()
    if not first.startswith(b"[") and first.split(b"\n", 1)[0].strip() != b"{":
        return None
    step = "'.[]'" if first.startswith(b"[") else "."
    return (
        f"{path}: is one JSON document, not an object per line: its lines will be dead letters; jq -c {step} makes rows"
    )


def _lines_head(handle: OpenFile) -> Head:
    data = handle.read(0, _LOOK)
    if len(data) == _LOOK and b"\n" not in data and b"\r" in data:
        data += handle.read(_LOOK, _MOST - _LOOK)
    start = len(_BOM) if data.startswith(_BOM) else 0
    if b"\n" not in data and 0 <= data.find(b"\r") < len(data) - 1:
        return Head(Layout(newline=RETURN), start)
    return Head(Layout(), start)


def _csv_head(path: str, handle: OpenFile, *, whole: bool) -> Head:
    """CR alone ends its lines if it ends the header: cells may have LF in them."""
    data = handle.read(0, _LOOK)
    if len(data) == _LOOK and _first_end(data) is None:
        data += handle.read(_LOOK, _MOST - _LOOK)
        if len(data) == _MOST and _first_end(data) is None:
            raise JobError(f"{path}: has no CSV header: its first line does not end within {MAX_ROW_BYTES:,} bytes")
    start = len(_BOM) if data.startswith(_BOM) else 0
    start = len(data) - len(data[start:].lstrip(b"\r\n"))  # blank lines are no header
    end, newline = _first_end(data[start:]) or (len(data) - start if whole else 0, NEWLINE)
    header = data[start : start + end].decode("utf-8", errors="replace").rstrip("\r\n")
    return Head(Layout(quoted=True, newline=newline), start + end if end else 0, header)


def _first_end(data: bytes) -> tuple[int, int] | None:
    """Where the first record of CSV ends, and the byte that ends it; None when that is not known yet."""
    line, alone = (next(iter(Layout(quoted=True, newline=newline).ends(data, ended=False)), None) for newline in _ENDS)
    if alone is not None and alone < len(data) and data[alone] != NEWLINE and (line is None or alone < line):
        return int(alone), RETURN
    return None if line is None else (int(line), NEWLINE)
