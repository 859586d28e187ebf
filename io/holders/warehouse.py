"""What a warehouse holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.reconcile import HOLDINGS_SCHEMA
from ecompulse.epochs.sinks import Owner
from ecompulse.io.holders.lake import owned, replaced
from ecompulse.io.sinks.database import bounded, is_there, open_engine, reason, shown_name
from ecompulse.io.sinks.warehouse_schema import LEDGER_TABLE

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
        if not is_there(open_engine(self.url)):
            return []
        with self._connected() as connection:
            inspector = sa.inspect(connection)
            named = ((table, inspector.get_columns(table)) for table in inspector.get_table_names())
            return sorted(table for table, columns in named if {column["name"] for column in columns} >= _WHOSE)

    def holdings(self, table: str, owner: Owner) -> pl.DataFrame | None:
        """Rows of the owner; JobError when the database does not answer, or another's have taken their place."""
        if not is_there(open_engine(self.url)):
            return None
        with self._connected() as connection:
            if not sa.inspect(connection).has_table(table):
                return None
            ours = sa.and_(LEDGER_TABLE.c.checkpoint == owner.checkpoint, LEDGER_TABLE.c.table_name == table)
            other = connection.scalar(sa.select(LEDGER_TABLE.c.replaced_by).where(ours))
            if other is not None:
                raise JobError(replaced(str(other)))
            there = sa.Table(table, sa.MetaData(), autoload_with=connection)
            wanted = [there.c[name] for name in (*HOLDINGS_SCHEMA, "job", "instance") if name in there.c]
            rows = connection.execute(sa.select(*wanted)).all()
        names = [column.name for column in wanted]
        return owned(pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None), owner)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        engine = open_engine(self.url)
        try:
            with engine.connect() as connection, bounded(connection):
                yield connection
        except SQLAlchemyError as error:
            raise JobError(f"--warehouse: {shown_name(engine)}: {reason(error)}") from None
