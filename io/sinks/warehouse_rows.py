"""Rows into a warehouse table: statements of many rows for SQLite, COPY and one upsert for PostgreSQL."""

import json
from typing import Any, Final

import polars as pl
import polars.selectors as cs
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ecompulse.io.sinks.database import POSTGRESQL
from ecompulse.io.sinks.warehouse_schema import KEY

INCOMING: Final = "ecompulse_incoming"
"""Temporary table of one transaction: rows wait there, and lock nothing, until they are all in the database."""

_ROWS: Final = 5_000  # of one statement
_NUL: Final = "\x00"
_INSTEAD: Final = "\ufffd"


def standing(frame: pl.DataFrame, *, revised: bool) -> pl.DataFrame:
    """One row per key, as one statement wants it: of several revisions the highest, the last of equals."""
    ordered = frame.sort("revision", maintain_order=True) if revised else frame
    return ordered.unique(KEY, keep="last" if revised else "first", maintain_order=True)


def stage(connection: sa.Connection, target: sa.Table, frame: pl.DataFrame) -> None:
    """Bring rows into PostgreSQL without touching the table: a writer that is stopped in the middle blocks nobody."""
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in frame.columns)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {INCOMING} ON COMMIT DROP AS "  # noqa: S608  # names of ours, quoted
        f"SELECT {columns} FROM {quote(target.name)} WITH NO DATA"
    )
    driver: Any = connection.connection.driver_connection
    statement = f"COPY {INCOMING} ({columns}) FROM STDIN (FORMAT csv)"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(csv_of(frame))
    except (
        connection.dialect.loaded_dbapi.Error
    ) as error:  # what SQLAlchemy would make of it, had it gone through there
        raise sa.exc.DBAPIError(statement, None, error) from error


def csv_of(frame: pl.DataFrame) -> bytes:
    """Rows as PostgreSQL reads them: an absent value is empty, an empty text is quoted, times have their zone.

    PostgreSQL's text has no NUL; U+FFFD stands for it.
    """
    flat = frame.with_columns(_json_columns(frame)).with_columns(
        cs.string().str.replace_all(_NUL, _INSTEAD, literal=True)
    )
    return flat.write_csv(include_header=False, quote_style="non_numeric").encode()


def upsert_staged(connection: sa.Connection, target: sa.Table, columns: list[str], *, revised: bool) -> None:
    """Take over the rows that were staged."""
    incoming = sa.table(INCOMING, *(sa.column(name) for name in columns))
    # In one order for all: two writers that meet then wait for each other, and do not deadlock.
    rows = sa.select(*(incoming.c[name] for name in columns)).order_by(*(incoming.c[name] for name in KEY))
    connection.execute(
        _on_conflict(postgresql.insert(target).from_select(columns, rows), target, columns, revised=revised)
    )


def upsert_rows(connection: sa.Connection, target: sa.Table, frame: pl.DataFrame, *, revised: bool) -> None:
    """Upsert into SQLite: decimals and times go as text, so that nothing is rounded on the way."""
    statement = _on_conflict(sqlite.insert(target), target, frame.columns, revised=revised)
    exact = [frame[name].cast(pl.String) for name, dtype in frame.schema.items() if isinstance(dtype, pl.Decimal)]
    times = [frame[name].dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ") for name in frame.select(cs.datetime()).columns]
    rows = frame.with_columns([*exact, *times, *_json_columns(frame)]).to_dicts()
    for start in range(0, len(rows), _ROWS):
        connection.execute(statement, rows[start : start + _ROWS])


def inserted(connection: sa.Connection, table: sa.Table) -> Any:
    """INSERT in the database's dialect."""
    return postgresql.insert(table) if connection.dialect.name == POSTGRESQL else sqlite.insert(table)


def _on_conflict(statement: Any, target: sa.Table, columns: list[str], *, revised: bool) -> Any:
    if not revised:
        return statement.on_conflict_do_nothing(index_elements=KEY)
    fresh = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=KEY,
        set_={name: fresh[name] for name in columns if name not in KEY},
        where=fresh.revision >= target.c.revision,
    )


def _json_columns(frame: pl.DataFrame) -> list[pl.Series]:
    return [_json(frame[name]) for name in frame.select(cs.nested()).columns]


def _json(column: pl.Series) -> pl.Series:
    texts = [None if value is None else json.dumps(_without_nul(value), default=str) for value in column.to_list()]
    return pl.Series(column.name, texts, dtype=pl.String)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_NUL, _INSTEAD)
    if isinstance(value, dict):
        return {key: _without_nul(inner) for key, inner in value.items()}
    return [_without_nul(inner) for inner in value] if isinstance(value, list) else value
