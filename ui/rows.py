"""Rows of the warehouse as the page shows them, whatever database they come from."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from ecompulse.io.sinks.database import SQLITE
from ecompulse.ui.view import View

ROWS: Final = 50
"""Rows of a list at the most."""

_STORED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
"""How SQLite has a time."""

Row = Sequence[Any]


def table_of(name: str, *columns: str) -> Any:
    """A table of the warehouse, with the columns that a panel reads."""
    return sa.table(name, *(sa.column(column) for column in columns))


def shown_rows(found: Any) -> list[Row]:
    """Rows of a result, cell by cell as they are shown."""
    return [tuple(cell(value) for value in row) for row in found]


def cell(value: Any) -> Any:
    """A time as text; anything else as it is."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, str) and _STORED.fullmatch(value):
        return value[:19].replace("T", " ")
    return value


def as_time(value: str | datetime) -> datetime:
    """A time as the database gives it: SQLite has text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def as_stored(connection: sa.Connection, moment: datetime) -> Any:
    """A time to compare with, as the database has times: SQLite has text."""
    return moment if connection.dialect.name != SQLITE else moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def within(connection: sa.Connection, column: Any, view: View) -> Any:
    """Whether a time is not after the end of a view; all are where it has none."""
    return sa.true() if view.until is None else column <= as_stored(connection, view.until)


def as_number(value: Any) -> float | None:
    """A decimal, or its text, as a number to draw."""
    return None if value is None else float(value)
