"""Warehouse tables behind SQLAlchemy: SQLite embedded, PostgreSQL in production."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.epochs.errors import JobError, Unusable, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import NOBODY, DataFile, Owner, TableSpec
from ecompulse.epochs.state import read_verified
from ecompulse.epochs.steps import Step, reach
from ecompulse.epochs.stored import stored_schema
from ecompulse.io.disk import fault
from ecompulse.io.sinks.database import (
    POSTGRESQL,
    bounded,
    check_file,
    file_of,
    identity_of,
    is_there,
    may_pass,
    open_engine,
    reason,
    shown_name,
)
from ecompulse.io.sinks.warehouse_rows import inserted, stage, standing, upsert_rows, upsert_staged
from ecompulse.io.sinks.warehouse_schema import LEDGER, LEDGER_TABLE, ensure, lock, migrate, table_of, unlike, versioned

_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE")  # DELETE is needed to replace only


@dataclass
class WarehouseSink:
    """Tables of a database, upserted by `id` and `job`; of several revisions of a row the highest stands.

    Exactly once: an epoch's rows of a table and the ledger's step to that epoch are one transaction; the ledger is
    by checkpoint and table, and an epoch that it already has is not written again. Tables are created on the first
    write, new columns are added. SQLite holds 15 significant digits of a decimal, PostgreSQL all; lists and structs
    are JSON, as JSONB in PostgreSQL. A writer that was stopped within its transaction holds up others for as long as
    the time-outs of `database` say. The ledger also says whose the rows of a job and instance are: those of another
    checkpoint are refused, or go in the transaction that brings the first of ours.

    Attributes:
        url: SQLAlchemy URL.
        outputs: store that the epoch's files are in.
    """

    url: str
    outputs: Store
    _owner: Owner = NOBODY
    _tables: dict[str, sa.Table] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)
    _file: tuple[int, int] | None = None  # that was written to

    def __post_init__(self) -> None:
        """UserError for a URL that names no database that is supported."""
        self._engine = open_engine(self.url)

    @property
    def name(self) -> str:
        """Where it writes, without the password."""
        return shown_name(self._engine)

    def open(self, tables: Sequence[TableSpec], owner: Owner) -> None:
        """Ask whether we may write, and whose rows are there; nothing is created before the first write.

        UserError when a table holds another checkpoint's rows that are not to be replaced, or later epochs than ours.
        """
        self._owner = owner
        self.check(tables)
        if not is_there(self._engine):
            return
        self._file = identity_of(file_of(self._engine))
        try:
            with self._engine.connect() as connection, bounded(connection, 30):
                if versioned(connection):
                    for table in tables:
                        self._foreign(connection, table.name)
                        published = self._published(connection, table.name) or 0
                        owner.check_copy(f"--warehouse: {self.name} table {table.name}", published)
                fault = _unlike(connection, [table for table in tables if table.warehouse])
        except SQLAlchemyError as error:
            wrong = JobError if may_pass(error) else UserError
            raise wrong(f"--warehouse: {self.name}: {reason(error)}") from None
        if fault:
            raise UserError(f"--warehouse: {self.name}: {fault}")

    def _foreign(self, connection: sa.Connection, table: str) -> list[str]:
        """Checkpoints whose rows of our job and instance are there and are to be replaced.

        UserError when these are to stay, or when ours have been replaced.
        """
        ledger, owner = LEDGER_TABLE.c, self._owner
        rows = connection.execute(
            sa.select(ledger.checkpoint, ledger.replaced_by).where(
                ledger.table_name == table,
                ledger.job == owner.job,
                ledger.instance.is_not_distinct_from(owner.instance),
            )
        ).all()
        foreign = []
        for checkpoint, replaced_by in rows:
            if checkpoint in owner.lineage and replaced_by not in {None, *owner.lineage}:
                raise UserError(f"--warehouse: {owner.conflict(f'{self.name} table {table}', replaced_by[:12])}")
            if checkpoint not in owner.lineage and replaced_by is None:
                foreign.append(str(checkpoint))
        if foreign and not owner.replace:
            raise UserError(f"--warehouse: {owner.conflict(f'{self.name} table {table}', foreign[0][:12])}")
        return foreign

    def close(self) -> None:
        """End the connections; SQLite then puts its log into the file, which else waited for Python's garbage."""
        self._engine.dispose()

    def check(self, tables: Sequence[TableSpec]) -> None:
        """UserError when a database does not let us in or write, JobError when it does not answer; writes nothing.

        UserError, too, when something else has the name of a table; in SQLite only `open` looks, since this locks it.
        """
        if self._engine.dialect.name != POSTGRESQL:
            path = file_of(self._engine)
            if path is not None:
                check_file(path)
            return
        written = [table for table in tables if table.warehouse]
        try:
            with self._engine.connect() as connection, bounded(connection, 30):
                lacking = _lacking(connection, [LEDGER, *(table.name for table in written)])
                lacking = lacking or _unlike(connection, written)
        except SQLAlchemyError as error:
            wrong = JobError if may_pass(error) else UserError
            raise wrong(f"--warehouse: {self.name}: {reason(error)}") from None
        if lacking:
            raise UserError(f"--warehouse: {self.name}: {lacking}")

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Upsert the epoch's rows, once; the first time, if so asked, in the place of all that was there."""
        replacing = self._owner.replace and table.name not in self._settled
        if not table.warehouse or not (files or replacing):
            return
        frames = [pl.read_parquet(read_verified(self.outputs, file.path, file.sha256)) for file in files]
        frame = pl.concat(frames) if frames else pl.DataFrame(schema=stored_schema(table))
        try:
            self._write(table, epoch, standing(frame, revised=table.revised))
        except SQLAlchemyError as error:
            wrong = JobError if may_pass(error) else Unusable
            raise wrong(f"--warehouse: {self.name}: table {table.name}: {reason(error)}") from error
        except JobError as error:
            raise type(error)(f"--warehouse: {self.name}: table {table.name}: {error}") from error
        self._settled.add(table.name)

    def _write(self, table: TableSpec, epoch: int, rows: pl.DataFrame) -> None:
        self._check_there()
        with self._engine.connect() as connection, bounded(connection), connection.begin():
            target = self._table(connection, table)
            published = self._published(connection, table.name)
            if published is None:
                lock(connection)  # until the first of two checkpoints has said that the rows are its own
            elif published >= epoch:
                return
            foreign = self._foreign(connection, table.name)
            if rows.is_empty() and not foreign:
                return
            if self._engine.dialect.name == POSTGRESQL:
                stage(connection, target, rows)  # before the ledger's row is ours: until then we hold up nobody
            if not self._advance(connection, table.name, epoch):
                return
            self._remove(connection, target, foreign)
            if self._engine.dialect.name == POSTGRESQL:
                upsert_staged(connection, target, rows.columns, revised=table.revised)
            else:
                upsert_rows(connection, target, rows, revised=table.revised)
            reach(Step.WAREHOUSE_BEFORE_COMMIT)
        self._tables[table.name] = target
        self._file = identity_of(file_of(self._engine))
        reach(Step.WAREHOUSE_COMMITTED)

    def _check_there(self) -> None:
        """Unusable when the file that was written to is gone: SQLite would go on writing into what nobody can find."""
        path = file_of(self._engine)
        if path is None:
            return
        if self._file is not None and identity_of(path) != self._file:
            raise Unusable("it was removed or replaced under the running job")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise fault(str(path.parent), error) from None

    def _table(self, connection: sa.Connection, spec: TableSpec) -> sa.Table:
        """The table in the database, made or widened when need be, the first time that it is written."""
        known = self._tables.get(spec.name)
        if known is not None:
            return known
        migrate(connection)
        table = table_of(spec)
        ensure(connection, table)
        return table

    def _published(self, connection: sa.Connection, table: str) -> int | None:
        epoch: int | None = connection.scalar(sa.select(LEDGER_TABLE.c.epoch).where(self._row(table)))
        return epoch

    def _advance(self, connection: sa.Connection, table: str, epoch: int) -> bool:
        """Step the ledger to the epoch; False when it has been there."""
        owner = self._owner
        first = {"checkpoint": owner.checkpoint, "table_name": table, "epoch": 0, "instance": owner.instance}
        connection.execute(inserted(connection, LEDGER_TABLE).values(**first).on_conflict_do_nothing())
        at = datetime.now(UTC)
        step = sa.update(LEDGER_TABLE).where(self._row(table), LEDGER_TABLE.c.epoch < epoch)
        stamp = at if self._engine.dialect.name == POSTGRESQL else at.isoformat(timespec="milliseconds")
        return connection.execute(step.values(epoch=epoch, job=owner.job, published_at=stamp)).rowcount > 0

    def _row(self, table: str) -> sa.ColumnElement[bool]:
        return sa.and_(LEDGER_TABLE.c.checkpoint == self._owner.checkpoint, LEDGER_TABLE.c.table_name == table)

    def _remove(self, connection: sa.Connection, target: sa.Table, foreign: Sequence[str]) -> None:
        """Take away the rows of other checkpoints, and note in the ledger that these must not write again."""
        if not foreign:
            return
        columns, owner, ledger = target.c, self._owner, LEDGER_TABLE.c
        mine = sa.and_(columns.job == owner.job, columns.instance.is_not_distinct_from(owner.instance))
        connection.execute(sa.delete(target).where(mine))
        theirs = sa.and_(ledger.table_name == target.name, ledger.checkpoint.in_(foreign))
        connection.execute(sa.update(LEDGER_TABLE).where(theirs).values(replaced_by=owner.checkpoint))


def _unlike(connection: sa.Connection, tables: Sequence[TableSpec]) -> str | None:
    """What of the tables that are there is not as ours, in words; None when all is well."""
    for table in tables:
        fault = unlike(connection, table_of(table))
        if fault:
            return f"table {table.name} is not one of ours: it {fault}; give another database or schema, or rename it"
    return None


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
