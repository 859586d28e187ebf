"""How a text file is written: what the `format` section of a mapping says, and what rows of CSV carry of it."""

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from ecompulse.kernels.config import ConfigError

_WORDS: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_MARK: Final = re.compile(r"sep=([^\r\n])(?: quote=([^\r\n])?)?\r?\n")
"""How a header may begin that tells its delimiter: `sep=;` in a line of its own, as Excel writes it."""
_NULL: Final = ("NULL", "null", "Null")
DEFAULT_QUOTE: Final = '"'


def parse_nulls(value: object) -> tuple[str, ...]:
    """Texts that stand for nothing; YAML's own null, which `NULL` is without quotes, is its spellings.

    Raises:
        ValueError: it is no list of texts.
    """
    found: list[str] = []
    for item in value if isinstance(value, list | tuple) else [value]:
        if item is not None and not isinstance(item, str):
            raise ValueError(f"{item!r} is no text; put it in quotes")
        found += _NULL if item is None else (item,)
    return tuple(found)


@dataclass(frozen=True)
class Dialect:
    """How the files of a source are written.

    Attributes:
        kind: of rows, whatever the files are called; none = by their suffix.
        delimiter: between the cells of CSV, one ASCII character or its name (`tab`); none = a comma, in `.tsv` a tab.
        quote: around cells; null = a quote is a character like any other.
        encoding: of Python's names (`utf-8`, `utf-16`, `latin-1`, `cp1252`); a byte order mark is no part of a row.
        columns: names of the columns of CSV; with `header` they replace those of the header.
        header: the first line (after `skip`) names the columns.
        skip: lines before the header, or before the first row.
        nulls: texts that stand for nothing.
        rows: where the rows of a JSON document are, such as `data.orders`, if it has them there (in its first 64 KiB);
            else, and without it, it is an array, or rows itself.
    """

    kind: Literal["csv", "json", "parquet"] | None = None
    delimiter: str | None = None
    quote: str | None = DEFAULT_QUOTE
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    header: bool | None = None
    skip: int = 0
    nulls: Annotated[tuple[str, ...], parse_nulls] = ()
    rows: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            object.__setattr__(self, "delimiter", _WORDS.get(self.delimiter, self.delimiter))
        for name in ("delimiter", "quote"):
            given = getattr(self, name)
            if given is not None and (len(given) != 1 or not given.isascii() or given in "\r\n"):
                raise ConfigError(name, f"{given!r} is not one ASCII character, such as ';' or tab")
        if self.delimiter is not None and self.delimiter == self.quote:
            raise ConfigError("quote", "is the delimiter, too")
        try:
            " ".encode(self.encoding, "surrogateescape")  # base64, rot13 and idna are codecs, but of no text in files
            object.__setattr__(self, "encoding", codecs.lookup(self.encoding).name)
        except (LookupError, UnicodeError):
            raise ConfigError("encoding", f"{self.encoding!r} is no encoding such as utf-8, utf-16, latin-1") from None
        if self.skip < 0:
            raise ConfigError("skip", f"must be 0 or more lines, not {self.skip}")
        if self.header is False and not self.columns:
            raise ConfigError("columns", "required, since there is no header")
        if len(set(self.columns)) < len(self.columns) or "" in self.columns:
            raise ConfigError("columns", "each must have a name of its own")
        if self.rows is not None and self.kind in {"csv", "parquet"}:
            raise ConfigError("rows", f"is of JSON documents, not of {self.kind}")

    @property
    def has_header(self) -> bool:
        """Whether the first line names the columns: so it is where no columns are given."""
        return not self.columns if self.header is None else self.header

    @property
    def plain_utf8(self) -> bool:
        """Whether bytes are those of the rows."""
        return self.encoding in {"utf-8", "utf-8-sig", "ascii"}


PLAIN: Final = Dialect()
"""What suffixes say by themselves."""


def marked(header: str, delimiter: str, quote: str | None) -> str:
    """A header that tells how its rows are written; one of commas and plain quotes stays as it is."""
    if delimiter == "," and quote == DEFAULT_QUOTE and not _MARK.match(header):
        return header
    return f"sep={delimiter} quote={quote or ''}\n{header}"


def unmarked(header: str) -> tuple[str, str, str | None]:
    """Header, delimiter and quote of what `marked` gave, or Excel wrote."""
    line = header.removeprefix("\ufeff")
    found = _MARK.match(line)
    if not found:
        return header, ",", DEFAULT_QUOTE
    quote = DEFAULT_QUOTE if " quote=" not in found[0] else found[2]
    return line[found.end() :], found[1], quote


def header_of(columns: tuple[str, ...], delimiter: str, quote: str | None) -> str:
    """The header line that names these columns."""
    out = io.StringIO()
    if quote is None:
        return delimiter.join(columns)
    csv.writer(out, delimiter=delimiter, quotechar=quote, lineterminator="").writerow(columns)
    return out.getvalue()
