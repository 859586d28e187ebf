"""What a warehouse holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.protocols import Owner
from ecompulse.epochs.reconcile import HOLDINGS_SCHEMA
from ecompulse.io.holders.lake import owned
from ecompulse.io.sinks.database import SQLITE, bounded, open_engine, reason, shown_name

_WHOSE: Final = {"id", "job", "epoch"}


@dataclass(frozen=True)
class WarehouseHolder:
    """One row per id: of several revisions the highest."""

    url: str
    keeps_all: ClassVar = False

    @property
    def name(self) -> str:
        """As the sink's."""
        return shown_name(open_engine(self.url))

    def tables(self) -> list[str]:
        """With an `id`, a `job` and an `epoch`; JobError when the database does not answer."""
        with self._connected() as connection:
            inspector = sa.inspect(connection)
            named = ((table, inspector.get_columns(table)) for table in inspector.get_table_names())
            return sorted(table for table, columns in named if {column["name"] for column in columns} >= _WHOSE)

    def holdings(self, table: str, owner: Owner) -> pl.DataFrame | None:
        """Rows of the owner; JobError when the database does not answer."""
        if table not in self.tables():
            return None
        with self._connected() as connection:
            there = sa.Table(table, sa.MetaData(), autoload_with=connection)
            wanted = [there.c[name] for name in (*HOLDINGS_SCHEMA, "job", "instance") if name in there.c]
            rows = connection.execute(sa.select(*wanted)).all()
        names = [column.name for column in wanted]
        return owned(pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None), owner)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        engine = open_engine(self.url)
        file = engine.url.database if engine.dialect.name == SQLITE else None
        if file and not Path(file).exists():  # to look would make it
            raise JobError(f"--warehouse: {self.name}: there is no such file")
        try:
            with engine.connect() as connection, bounded(connection):
                yield connection
        except SQLAlchemyError as error:
            raise JobError(f"--warehouse: {self.name}: {reason(error)}") from None
