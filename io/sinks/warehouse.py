"""Warehouse tables behind SQLAlchemy: SQLite embedded, PostgreSQL in production."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import DataFile, Store, TableSpec
from ecompulse.epochs.state import read_verified
from ecompulse.epochs.steps import Step, reach
from ecompulse.io.sinks.database import POSTGRESQL, bounded, open_engine, reason
from ecompulse.io.sinks.warehouse_rows import inserted, stage, standing, upsert_rows, upsert_staged
from ecompulse.io.sinks.warehouse_schema import LEDGER, LEDGER_TABLE, ensure, migrate, table_of

_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE")


@dataclass
class WarehouseSink:
    """Tables of a database, upserted by `id` and `job`; of several revisions of a row the highest stands.

    Exactly once: an epoch's rows of a table and the ledger's step to that epoch are one transaction; the ledger is
    by checkpoint and table, and an epoch that it already has is not written again. Tables are created on the first
    write, new columns are added. SQLite holds 15 significant digits of a decimal, PostgreSQL all; lists and structs
    are JSON, as JSONB in PostgreSQL. A writer that was stopped within its transaction holds up others for as long as
    the time-outs of `database` say.

    Attributes:
        url: SQLAlchemy URL.
        outputs: store that the epoch's files are in.
        job: name of the job, for people who read the ledger.
    """

    url: str
    outputs: Store
    job: str = ""
    _checkpoint_id: str = ""
    _tables: dict[str, sa.Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """UserError for a URL that names no database that is supported."""
        self._engine = open_engine(self.url)

    @property
    def name(self) -> str:
        """Where it writes, without the password."""
        shown = self._engine.url.set(query={})  # names of files, and perhaps a password
        return f"warehouse:{shown.render_as_string(hide_password=True)}"

    def open(self, tables: Sequence[TableSpec], checkpoint_id: str) -> None:
        """Remember the checkpoint, ask whether we may write; nothing is created before the first write."""
        self._checkpoint_id = checkpoint_id
        self.check(tables)

    def check(self, tables: Sequence[TableSpec]) -> None:
        """UserError when PostgreSQL cannot be reached or does not let us write; nothing is written."""
        if self._engine.dialect.name != POSTGRESQL:
            return
        try:
            with self._engine.connect() as connection, bounded(connection, 30):
                lacking = _lacking(connection, [LEDGER, *(table.name for table in tables if table.warehouse)])
        except SQLAlchemyError as error:
            raise UserError(f"--warehouse: {self.name}: {reason(error)}") from None
        if lacking:
            raise UserError(f"--warehouse: {self.name}: {lacking}")

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Upsert the epoch's rows, once."""
        if not table.warehouse or not files:
            return
        frame = pl.concat([pl.read_parquet(read_verified(self.outputs, file.path, file.sha256)) for file in files])
        try:
            self._write(table, epoch, standing(frame, revised=table.revised))
        except (SQLAlchemyError, JobError) as error:
            cause = reason(error) if isinstance(error, SQLAlchemyError) else error
            raise JobError(f"--warehouse: {self.name}: table {table.name}: {cause}") from error

    def _write(self, table: TableSpec, epoch: int, rows: pl.DataFrame) -> None:
        with self._engine.connect() as connection, bounded(connection), connection.begin():
            target = self._table(connection, table)
            if self._published(connection, table.name) >= epoch:
                return
            if self._engine.dialect.name == POSTGRESQL:
                stage(connection, target, rows)  # before the ledger's row is ours: until then we hold up nobody
            if not self._advance(connection, table.name, epoch):
                return
            if self._engine.dialect.name == POSTGRESQL:
                upsert_staged(connection, target, rows.columns, revised=table.revised)
            else:
                upsert_rows(connection, target, rows, revised=table.revised)
            reach(Step.WAREHOUSE_BEFORE_COMMIT)
        self._tables[table.name] = target
        reach(Step.WAREHOUSE_COMMITTED)

    def _table(self, connection: sa.Connection, spec: TableSpec) -> sa.Table:
        """The table in the database, made or widened when need be, the first time that it is written."""
        known = self._tables.get(spec.name)
        if known is not None:
            return known
        migrate(connection)
        table = table_of(spec)
        ensure(connection, table)
        return table

    def _published(self, connection: sa.Connection, table: str) -> int:
        return connection.scalar(sa.select(LEDGER_TABLE.c.epoch).where(self._row(table))) or 0

    def _advance(self, connection: sa.Connection, table: str, epoch: int) -> bool:
        """Step the ledger to the epoch; False when it has been there."""
        first = {"checkpoint": self._checkpoint_id, "table_name": table, "epoch": 0}
        connection.execute(inserted(connection, LEDGER_TABLE).values(**first).on_conflict_do_nothing())
        at = datetime.now(UTC)
        step = sa.update(LEDGER_TABLE).where(self._row(table), LEDGER_TABLE.c.epoch < epoch)
        stamp = at if self._engine.dialect.name == POSTGRESQL else at.isoformat(timespec="milliseconds")
        return connection.execute(step.values(epoch=epoch, job=self.job, published_at=stamp)).rowcount > 0

    def _row(self, table: str) -> sa.ColumnElement[bool]:
        return sa.and_(LEDGER_TABLE.c.checkpoint == self._checkpoint_id, LEDGER_TABLE.c.table_name == table)


def _lacking(connection: sa.Connection, tables: Sequence[str]) -> str | None:
    """What a PostgreSQL user may not do but must, in words; None when all is well."""
    schema = connection.scalar(sa.text("SELECT current_schema()"))
    if schema is None:
        return "no schema on the search path"
    if not connection.scalar(sa.text("SELECT has_database_privilege(current_database(), 'TEMP')")):
        return "permission denied: TEMP on the database"
    may_create = connection.scalar(sa.text("SELECT has_schema_privilege(:schema, 'CREATE')"), {"schema": schema})
    for table in tables:
        if connection.scalar(sa.text("SELECT to_regclass(quote_ident(:table))"), {"table": table}) is None:
            if not may_create:
                return f"permission denied: CREATE on schema {schema}"
            continue
        for right in _RIGHTS:
            asked = sa.text("SELECT has_table_privilege(quote_ident(:table), :right)")
            if not connection.scalar(asked, {"table": table, "right": right}):
                return f"permission denied: {right} on table {table}"
    return None
