"""What a file is, by its name, by what a mapping's `format` says, and where neither does, by its first byte."""

from pathlib import Path
from typing import Final, Literal

from ecompulse.io.files.streams import OpenFile, compression_of
from ecompulse.kernels.foreign.dialect import Dialect

Kind = Literal["csv", "json", "parquet"]

_KINDS: Final[dict[str, Kind]] = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
_OPEN: Final = (".txt", ".dat")
"""Suffixes that say nothing of the rows."""

SUFFIXES: Final = (*_KINDS, *_OPEN)
_GLANCE: Final = 4096
_BOM: Final = b"\xef\xbb\xbf"


def suffix_of(path: str) -> str:
    """The format's suffix in lower case, such as `.jsonl`, without that of a compression."""
    lower = path.lower()
    return Path(lower.removesuffix(compression_of(path))).suffix


def belongs(path: str, dialect: Dialect) -> bool:
    """Whether a file of a folder is one of rows: a `.txt` only where a mapping says what such files hold."""
    suffix = suffix_of(path)
    return suffix in _KINDS or (suffix in _OPEN and dialect.kind is not None)


def kind_of(path: str, dialect: Dialect) -> Kind | None:
    """What a file holds; None for a suffix that is not known and a first byte that says nothing."""
    suffix = suffix_of(path)
    named = dialect.kind or _KINDS.get(suffix)
    if named:
        return named
    if glance(path, dialect)[:1] in {b"{", b"["}:
        return "json"
    return "csv" if suffix in _OPEN or dialect.delimiter or dialect.columns else None


def glance(path: str, dialect: Dialect) -> bytes:
    """The first bytes of a text file in UTF-8, from the first that is no blank; JobError when it cannot be read."""
    handle = OpenFile(path, dialect.encoding)
    try:
        return handle.read(0, _GLANCE).removeprefix(_BOM).lstrip()
    finally:
        handle.close()


def delimiter_of(path: str, dialect: Dialect) -> str:
    """Between cells of CSV: what the mapping says, else what the suffix does."""
    return dialect.delimiter or ("\t" if suffix_of(path) == ".tsv" else ",")


def is_closed(path: str, dialect: Dialect, *, document: bool = False) -> bool:
    """Whether a file cannot grow: complete when it appears.

    So are compressed files and Parquet, and what is read through a decoder: other encodings, and JSON documents.
    """
    parquet = suffix_of(path) == ".parquet" if dialect.kind is None else dialect.kind == "parquet"
    return bool(compression_of(path)) or parquet or not dialect.plain_utf8 or document
