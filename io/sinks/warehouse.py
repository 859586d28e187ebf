"""Warehouse tables behind SQLAlchemy: SQLite embedded, PostgreSQL in production."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import DataFile, Store, TableSpec
from ecompulse.epochs.steps import Step, reach
from ecompulse.epochs.tables import stored_schema

LEDGER: Final = "ecompulse_ledger"
KEY: Final = ("id", "job")
"""Primary key of every table: jobs share some tables, and each has its own rows there."""
BUSY_SECONDS: Final = 30
_ROWS: Final = 5_000  # of one statement


@dataclass
class WarehouseSink:
    """Tables of a database, upserted by `id` and `job`; of several revisions of a row the highest stands.

    Exactly once: an epoch's rows of a table and the ledger's step to that epoch are one transaction; the ledger is
    by checkpoint and table, and an epoch that it already has is not written again. Tables are created on the first
    write, new columns are added. SQLite holds 15 significant digits of a decimal, PostgreSQL all.

    Attributes:
        url: SQLAlchemy URL.
        outputs: store that the epoch's files are in.
    """

    url: str
    outputs: Store
    _checkpoint_id: str = ""
    _tables: dict[str, sa.Table] = field(default_factory=dict)
    _metadata: sa.MetaData = field(default_factory=sa.MetaData)

    def __post_init__(self) -> None:
        """UserError for a URL that names no database that is supported."""
        try:
            self._engine = _engine(self.url)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise UserError(f"--warehouse: {error}") from None
        if self._engine.dialect.name not in {"sqlite", "postgresql"}:
            raise UserError(f"--warehouse: {self._engine.dialect.name} is not supported; use sqlite or postgresql")
        self._ledger = sa.Table(
            LEDGER,
            self._metadata,
            sa.Column("checkpoint", sa.Text, primary_key=True),
            sa.Column("table_name", sa.Text, primary_key=True),
            sa.Column("epoch", sa.BigInteger, nullable=False),
        )

    @property
    def name(self) -> str:
        """Where it writes, without the password."""
        return f"warehouse:{self._engine.url.render_as_string(hide_password=True)}"

    def open(self, tables: Sequence[TableSpec], checkpoint_id: str) -> None:
        """Remember the checkpoint; nothing is created before the first write."""
        del tables
        self._checkpoint_id = checkpoint_id

    @retry(
        retry=retry_if_exception_type(OperationalError),
        stop=stop_after_attempt(6),
        wait=wait_random_exponential(0.2, max=5),
        reraise=True,
    )
    def _write(self, table: TableSpec, epoch: int, rows: Sequence[dict[str, Any]]) -> None:
        target = self._table(table)
        with self._engine.begin() as connection:
            if not self._advance(connection, table.name, epoch):
                return
            for start in range(0, len(rows), _ROWS):
                connection.execute(self._upsert(target, revised=table.revised), rows[start : start + _ROWS])
            reach(Step.WAREHOUSE_BEFORE_COMMIT)
        reach(Step.WAREHOUSE_COMMITTED)

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Upsert the epoch's rows, once."""
        if not table.warehouse or not files:
            return
        frame = pl.concat([pl.read_parquet(io.BytesIO(self.outputs.get(file.path))) for file in files])
        try:
            self._write(table, epoch, _rows(frame, lossless=self._engine.dialect.name == "sqlite"))
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise JobError(f"--warehouse: {self.name}: table {table.name}: {cause}") from error

    def _advance(self, connection: sa.Connection, table: str, epoch: int) -> bool:
        """Step the ledger to the epoch; False when it has been there."""
        key = {"checkpoint": self._checkpoint_id, "table_name": table}
        first = self._insert(self._ledger).values(**key, epoch=0).on_conflict_do_nothing()
        connection.execute(first)
        at = sa.and_(*(self._ledger.c[name] == value for name, value in key.items()), self._ledger.c.epoch < epoch)
        return connection.execute(sa.update(self._ledger).where(at).values(epoch=epoch)).rowcount > 0

    def _upsert(self, target: sa.Table, *, revised: bool) -> Any:
        statement = self._insert(target)
        if not revised:
            return statement.on_conflict_do_nothing(index_elements=KEY)
        fresh = statement.excluded
        return statement.on_conflict_do_update(
            index_elements=KEY,
            set_={column.name: fresh[column.name] for column in target.columns if column.name not in KEY},
            where=fresh.revision >= target.c.revision,
        )

    def _insert(self, target: sa.Table) -> Any:
        return postgresql.insert(target) if self._engine.dialect.name == "postgresql" else sqlite.insert(target)

    def _table(self, spec: TableSpec) -> sa.Table:
        """The table in the database, made or widened when need be."""
        if spec.name not in self._tables:
            columns = [
                sa.Column(name, _type(dtype), primary_key=name in KEY) for name, dtype in stored_schema(spec).items()
            ]
            table = sa.Table(spec.name, self._metadata, *columns, extend_existing=True)  # a retry comes again
            self._metadata.create_all(self._engine, tables=[self._ledger, table])
            self._widen(table)
            self._tables[spec.name] = table
        return self._tables[spec.name]

    def _widen(self, table: sa.Table) -> None:
        there = {column["name"] for column in sa.inspect(self._engine).get_columns(table.name)}
        quote = self._engine.dialect.identifier_preparer.quote
        with self._engine.begin() as connection:
            for column in table.columns:
                if column.name not in there:
                    kind = column.type.compile(self._engine.dialect)
                    connection.exec_driver_sql(
                        f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)} {kind}"
                    )


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=True)
    if engine.dialect.name != "sqlite":
        return engine
    database = engine.url.database
    if database and database != ":memory:":  # the same name for the same file, wherever the job is started
        database = str(Path(database).absolute())
    engine = sa.create_engine(engine.url.set(database=database), connect_args={"timeout": BUSY_SECONDS})

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins, not the driver
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", begun)
    return engine


def _type(dtype: pl.DataType) -> sa.types.TypeEngine[Any]:
    """SQL type of a column; what is nested is JSON text."""
    if isinstance(dtype, pl.Datetime):
        return sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
    if isinstance(dtype, pl.Decimal):
        return sa.Numeric(38, dtype.scale).with_variant(_Verbatim(), "sqlite")
    if dtype.is_integer():
        return sa.BigInteger()
    if dtype.is_float():
        return sa.Double()
    return sa.Boolean() if dtype == pl.Boolean() else sa.Text()


class _Verbatim(sa.types.UserDefinedType[Any]):
    """NUMERIC of SQLite, given as text: exact to 15 significant digits, so to a tenth of a cent of a trillion."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name."""
        return "NUMERIC"


def _rows(frame: pl.DataFrame, *, lossless: bool) -> list[dict[str, Any]]:
    """Rows as the database takes them; `lossless`: decimals and times as text."""
    exact = []
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.List | pl.Struct):
            exact.append(_json(frame[name]).alias(name))
        elif lossless and isinstance(dtype, pl.Decimal):
            exact.append(frame[name].cast(pl.String))
        elif lossless and isinstance(dtype, pl.Datetime):
            exact.append(frame[name].dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ"))
    return frame.with_columns(exact).to_dicts()


def _json(column: pl.Series) -> pl.Series:
    texts = [None if value is None else json.dumps(value, default=str) for value in column.to_list()]
    return pl.Series(column.name, texts, dtype=pl.String)
