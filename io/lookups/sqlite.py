"""Look-ups in a table of an SQLite database, one query per batch."""

import json
import re
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import polars as pl

from ecompulse.io.lookups.store import KEY, LookupFailed, LookupSpec, check_options, choose_columns
from ecompulse.io.lookups.values import typed_rows
from ecompulse.kernels.config import nearest
from ecompulse.kernels.decode.json_rows import utf8
from ecompulse.kernels.event import MONEY

_INSTRUCTIONS: Final = 10_000  # of SQLite's machine between looks at the clock


class SqliteStore:
    """A table or view, read only; give the key an index, or each batch reads the whole table.

    All keys go in one bound parameter, a JSON list. One connection per thread. Declared types decide: INTEGER, REAL and
    BOOLEAN stay, DECIMAL and NUMERIC become decimal(18,4), all else is text. A value that does not fit its column's
    type, which SQLite lets pass, is null and its row `malformed`.
    """

    def __init__(self, spec: LookupSpec) -> None:
        check_options(spec, ("table",))
        self._spec = spec
        self._table = spec.options.get("table") or ""
        self._local = threading.local()
        if not self._table:
            raise ValueError(f"{spec}: names no table; add &table=NAME")
        if not Path(spec.location).is_file():
            raise ValueError(f"{spec}: no such file: {spec.location}")
        try:
            declared = self._declared()
        except sqlite3.Error as error:
            raise ValueError(f"{spec}: {error}") from error
        self._columns = pl.Schema({n: _dtype(declared[n]) for n in choose_columns(spec, list(declared))})
        self._query = self._select(self._columns)
        try:
            self.fetch(pl.Series([""]))
        except LookupFailed as error:
            raise ValueError(str(error)) from error

    @property
    def columns(self) -> pl.Schema:
        """Columns of the table, or those chosen, without the key."""
        return self._columns

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        """See Store."""
        try:
            rows = self._rows(json.dumps(keys.to_list()))
        except (sqlite3.Error, OverflowError) as error:
            raise LookupFailed(f"{self._spec}: {str(error).splitlines()[0]}") from error
        frame = self._typed(rows)
        found = frame.filter(pl.col(KEY).is_in(keys.implode()))
        if found[KEY].n_unique() != found.height:
            twice = found[KEY].filter(found[KEY].is_duplicated())[0]
            raise LookupFailed(f"{self._spec}: {self._spec.key} is no key: {twice!r} stands there more than once")
        return found

    def _typed(self, rows: list[tuple[object, ...]]) -> pl.DataFrame:
        """The answer by declared types, which SQLite itself does not hold values to."""
        texts = {f"t{at}": name for at, name in enumerate(self._columns)}
        reals = {f"r{at}": name for at, name in enumerate(_reals(self._columns))}
        schema = {KEY: pl.Binary(), **dict.fromkeys(texts, pl.Binary()), **dict.fromkeys(reals, pl.Float64())}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        given = {name: frame[at] for at, name in texts.items()}
        for at, name in reals.items():
            digits = frame[at].cast(pl.String).cast(pl.Binary)
            given[name] = digits.zip_with(digits.is_not_null(), given[name])
        return typed_rows(utf8(frame[KEY]), given, self._columns)

    def _rows(self, keys: str) -> list[tuple[object, ...]]:
        """The answer, or sqlite3.OperationalError `interrupted` once the time is over."""
        connection, until = self._connection(), time.monotonic() + self._spec.timeout
        connection.set_progress_handler(lambda: time.monotonic() > until, _INSTRUCTIONS)
        connection.text_factory = bytes  # which may be no UTF-8
        try:
            return connection.execute(self._query, (keys,)).fetchall()
        finally:
            connection.set_progress_handler(None, 0)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            path = quote(str(Path(self._spec.location).absolute()))
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=self._spec.timeout)
            self._local.connection = connection
        return connection

    def _declared(self) -> Mapping[str, str]:
        """Declared type by column."""
        connection = self._connection()
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        if self._table not in names:
            raise ValueError(f"{self._spec}: no table {self._table}{nearest(self._table, names)}")
        rows = connection.execute("SELECT name, type FROM pragma_table_info(?)", (self._table,))
        return {str(name): str(kind) for name, kind in rows}

    def _select(self, columns: pl.Schema) -> str:
        key = _quoted(self._spec.key)
        texts = [f"CAST({_quoted(name)} AS TEXT)" for name in columns]
        parts = [f"CAST({key} AS TEXT)", *texts, *(_real(name) for name in _reals(columns))]
        # Names are those of the database itself, quoted; SQL binds values only.
        return (
            f"SELECT {', '.join(parts)} FROM {_quoted(self._table)} "  # noqa: S608
            f"WHERE {key} IN (SELECT value FROM json_each(?))"
        )


def open_sqlite(spec: LookupSpec) -> SqliteStore:
    """`sqlite:shop.db?table=users&key=id`."""
    return SqliteStore(spec)


def _dtype(declared: str) -> pl.DataType:
    kind = declared.upper()
    if "BOOL" in kind:
        return pl.Boolean()
    if "INT" in kind:
        return pl.Int64()
    if re.search("REAL|FLOA|DOUB", kind):
        return pl.Float64()
    return MONEY if re.search("DEC|NUMERIC|MONEY", kind) else pl.String()


def _reals(columns: pl.Schema) -> list[str]:
    """Columns whose doubles are read as they are: SQLite writes them with 15 digits."""
    return [name for name, dtype in columns.items() if dtype.is_float() or dtype.is_decimal()]


def _real(name: str) -> str:
    column = _quoted(name)
    return f"CASE WHEN typeof({column}) = 'real' THEN {column} END"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
