"""How a text file seems to be written: a guess to start from, never what a job goes by."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import yaml

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.kinds import suffix_of
from ecompulse.io.files.streams import OpenFile
from ecompulse.kernels.config import load_config
from ecompulse.kernels.foreign.dialect import Dialect

_LOOK: Final = 64 * 1024
_LINES: Final = 50
_DELIMITERS: Final = ",;\t|"
_NULLS: Final = ("NULL", "null", r"\N", "(not set)", "N/A", "NA", "None", "nan")
_VALUE: Final = re.compile(r"[-+]?[0-9][0-9.,:/ TZ+-]*|")
_LIST: Final = re.compile(r'"([^"\\]+)"\s*:\s*\[\s*\{')
_ALIKE: Final = 0.9  # share of lines with as many cells
_NO_CP1252: Final = frozenset(b"\x81\x8d\x8f\x90\x9d")


def guess(path: str) -> dict[str, Any] | None:
    """The `format` section that a text file seems to need, empty for none; None for no text, or nothing to go by."""
    if suffix_of(path) == ".parquet":
        return None
    handle = OpenFile(path)
    try:
        data = handle.read(0, _LOOK)
    except JobError:
        return None
    finally:
        handle.close()
    if not data:
        return None
    encoding = _encoding(data)
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    found: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": encoding}
    if text.lstrip()[:1] in {"{", "["}:
        return {**found, **_document(text), **_kind(path, "json")}
    return {**found, **_table(text, path), **_kind(path, "csv")}


def as_yaml(section: dict[str, Any]) -> str:
    """The section as a mapping has it."""
    return f"format: {yaml.safe_dump(section, default_flow_style=True, sort_keys=False, width=10_000).strip()}"


def same(section: dict[str, Any], dialect: Dialect) -> bool:
    """Whether a dialect says so already."""
    wanted = load_config(Dialect, section)
    return all(getattr(dialect, name) == getattr(wanted, name) for name in section)


def _kind(path: str, kind: str) -> dict[str, str]:
    known = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}
    return {} if known.get(suffix_of(path)) == kind else {"kind": kind}


def _encoding(data: bytes) -> str:
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16"
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) > len(data) // 8:
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.start < len(data) - 4:  # else a character that was cut
            return "latin-1" if _NO_CP1252 & set(data) else "cp1252"
    return "utf-8"


def _document(text: str) -> dict[str, str]:
    """Where the rows of a document are that is one object."""
    first = text.lstrip().split("\n", 1)[0]
    found = _LIST.search(text)
    if not found or text.lstrip()[0] == "[" or (first.rstrip().endswith("}") and "\n" in text.strip()):
        return {}
    depth = text[: found.start()].count("{") - text[: found.start()].count("}")
    return {"rows": found[1]} if depth == 1 else {}


def _table(text: str, path: str) -> dict[str, Any]:
    lines = text.splitlines()[:_LINES]
    lines = lines[:-1] if len(lines) > 1 and not text.endswith("\n") else lines
    if not lines:
        return {}
    delimiter, width = max(((mark, _width(lines, mark)) for mark in _DELIMITERS), key=lambda found: found[1])
    if width == 1:
        return {}
    rows = list(csv.reader(lines, delimiter=delimiter))
    skip = next((at for at, row in enumerate(rows) if len(row) == width), 0)
    usual = "\t" if suffix_of(path) == ".tsv" else ","
    found: dict[str, Any] = {} if delimiter == usual else {"delimiter": "tab" if delimiter == "\t" else delimiter}
    if skip:
        found["skip"] = skip
    head, body = rows[skip], [row for row in rows[skip + 1 :] if len(row) == width]
    if any(_VALUE.fullmatch(cell) for cell in head) or len(set(head)) < len(head):
        found["columns"] = [f"column_{number}" for number in range(1, width + 1)]
        body = [head, *body]
    cells = Counter(cell for row in body for cell in row)
    nulls = [word for word in _NULLS if cells[word]]
    return {**found, **({"nulls": nulls} if nulls else {})}


def _width(lines: Sequence[str], delimiter: str) -> int:
    """Cells of a line, if lines agree; 1 if not."""
    try:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return 1
    width, count = widths.most_common(1)[0]
    return width if count >= _ALIKE * len(lines) or (width > 1 and count >= len(lines) - 5 and count > 1) else 1
