"""Tables of a warehouse: types of columns, and versioned migrations of the tables that are ours alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SetColumnComment

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.sinks import TableSpec
from ecompulse.epochs.stored import stored_schema
from ecompulse.io.sinks.database import POSTGRESQL
from ecompulse.kernels.dictionary.registry import about, comment_of

KEY: Final = ("id", "job")
"""Primary key of every table: jobs share some tables, and each has its own rows there."""

LATEST: Final = "_latest"
"""End of the name of the view that shows a table's rows as they stand."""

FINAL: Final = "final"

_WIDER: Final[Mapping[str, Sequence[str]]] = {"TEXT": ("VARCHAR",), "JSONB": ("JSON", "TEXT")}
"""Types of PostgreSQL that hold all that another does."""

LEDGER: Final = "ecompulse_ledger"
SCHEMA: Final = "ecompulse_schema"
_LOCK: Final = 0xEC0  # PostgreSQL's advisory lock of whoever makes or widens tables

OURS: Final = sa.MetaData()
VERSIONS: Final = sa.Table(SCHEMA, OURS, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
LEDGER_TABLE: Final = sa.Table(
    LEDGER,
    OURS,
    sa.Column("checkpoint", sa.Text, primary_key=True),
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("job", sa.Text),
    sa.Column("published_at", sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")),
    sa.Column("instance", sa.Text),
    sa.Column("replaced_by", sa.Text),
)


def _create_ledger(connection: sa.Connection) -> None:
    """Version 1. Databases from before there were versions have it already."""
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {LEDGER} (checkpoint TEXT NOT NULL, table_name TEXT NOT NULL, "
        "epoch BIGINT NOT NULL, PRIMARY KEY (checkpoint, table_name))"
    )


def _widen_ledger(connection: sa.Connection) -> None:
    """Versions 2 and 3: which job published when; of which instance, and which checkpoint has taken its place."""
    widen(connection, LEDGER_TABLE)


MIGRATIONS: Final[Sequence[Callable[[sa.Connection], None]]] = (_create_ledger, _widen_ledger, _widen_ledger)
"""In order, each run once, each only adding: an older version of the jobs goes on beside a newer one."""


def migrate(connection: sa.Connection) -> None:
    """Bring our own tables to this version, in the transaction that is open; JobError for a newer database."""
    there = sa.inspect(connection).has_table(SCHEMA)
    version = _version(connection) if there else 0
    if version == len(MIGRATIONS):
        return
    lock(connection)
    VERSIONS.create(connection, checkfirst=True)
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise JobError(f"{SCHEMA} is at version {version}, this version of the jobs knows {len(MIGRATIONS)}")
    for number, run in enumerate(MIGRATIONS[version:], start=version + 1):
        run(connection)
        connection.execute(VERSIONS.insert().values(version=number))


def versioned(connection: sa.Connection) -> bool:
    """Whether our own tables are there, at this version."""
    return sa.inspect(connection).has_table(SCHEMA) and _version(connection) == len(MIGRATIONS)


def _version(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(VERSIONS.c.version))) or 0


def lock(connection: sa.Connection) -> None:
    """Until the transaction ends nobody else makes or widens tables; a write to SQLite excludes others anyway."""
    if connection.dialect.name == POSTGRESQL:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def table_of(spec: TableSpec) -> sa.Table:
    """A table as the warehouse has it, with what it and its columns mean, which PostgreSQL keeps as comments."""
    columns = [
        sa.Column(name, column_type(dtype), primary_key=name in KEY, comment=comment_of(spec.name, name) or None)
        for name, dtype in stored_schema(spec).items()
    ]
    index = sa.Index(f"{spec.name}_by_time", *spec.asked_by, spec.time)
    return sa.Table(spec.name, sa.MetaData(), *columns, index, comment=_grain(spec.name))


def _grain(table: str) -> str | None:
    grain = about(table).grain
    return f"One row is {grain}." if grain else None


def ensure(connection: sa.Connection, table: sa.Table) -> None:
    """Make or widen a table and its index, in the transaction that is open."""
    inspector = sa.inspect(connection)
    if inspector.has_table(table.name) and not _missing(inspector, table) and _indexed(inspector, table):
        return
    lock(connection)
    table.create(connection, checkfirst=True)
    widen(connection, table)
    for index in table.indexes:
        index.create(connection, checkfirst=True)
    show_latest(connection, table)


def unlike(connection: sa.Connection, table: sa.Table) -> str | None:
    """Why rows cannot go into what has the table's name, in words; None where they can, or nothing has it.

    Columns of PostgreSQL have the types that we give them, or wider ones; those of SQLite take what they get.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table(table.name):
        return None
    if table.name in inspector.get_view_names():
        return "is a view"
    keys: list[set[str | None]] = [set(inspector.get_pk_constraint(table.name)["constrained_columns"])]
    keys += [set(index["column_names"]) for index in inspector.get_indexes(table.name) if index["unique"]]
    if set(KEY) not in keys:
        return f"has no key of {' and '.join(KEY)}"
    there = {column["name"]: column for column in inspector.get_columns(table.name)}
    for name, column in there.items():
        if name not in table.columns and not column["nullable"] and column["default"] is None:
            return f"wants a value of {name}, which we do not have"
    wrong = (_another_type(connection, there[column.name], column) for column in table.columns if column.name in there)
    return next(filter(None, wrong), None) if connection.dialect.name == POSTGRESQL else None


def _another_type(connection: sa.Connection, there: Any, column: sa.Column[Any]) -> str | None:
    if there.get("computed") or there.get("identity"):
        return f"makes {column.name} itself"
    stored, wanted = (kind.compile(connection.dialect) for kind in (there["type"], column.type))
    plain = wanted.partition("(")[0]
    return None if stored in {wanted, plain, *_WIDER.get(plain, ())} else f"has {column.name} as {stored}, not {wanted}"


def show_latest(connection: sa.Connection, table: sa.Table) -> None:
    """Make the view `<table>_latest` anew: the rows that are settled, each in its last revision, which is all there is.

    A table of that name stands before it: then there is no view.
    """
    name = f"{table.name}{LATEST}"
    if sa.inspect(connection).has_table(name) and name not in sa.inspect(connection).get_view_names():
        return
    quote = connection.dialect.identifier_preparer.quote
    settled = " WHERE final" if FINAL in table.columns else ""
    rows = f"SELECT * FROM {quote(table.name)}{settled}"  # noqa: S608  # names that are quoted
    # PostgreSQL's view has the columns of this moment; new ones come last, as in the table. SQLite's follows the table.
    how = "VIEW IF NOT EXISTS" if connection.dialect.name != POSTGRESQL else "OR REPLACE VIEW"
    connection.exec_driver_sql(f"CREATE {how} {quote(name)} AS {rows}")


def widen(connection: sa.Connection, table: sa.Table) -> None:
    """Add the columns that the database does not have yet."""
    quote = connection.dialect.identifier_preparer.quote
    for column in _missing(sa.inspect(connection), table):
        kind = column.type.compile(connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)} {kind}")
        if column.comment and connection.dialect.supports_comments:
            connection.execute(SetColumnComment(column))


def _missing(inspector: Any, table: sa.Table) -> list[sa.Column[Any]]:
    there = {column["name"] for column in inspector.get_columns(table.name)}
    return [column for column in table.columns if column.name not in there]


def _indexed(inspector: Any, table: sa.Table) -> bool:
    return {index.name for index in table.indexes} <= {index["name"] for index in inspector.get_indexes(table.name)}


def column_type(dtype: pl.DataType) -> sa.types.TypeEngine[Any]:
    """SQL type of a column; what is nested is JSON."""
    if isinstance(dtype, pl.Datetime):
        return sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
    if isinstance(dtype, pl.Decimal):
        return sa.Numeric(38, dtype.scale).with_variant(_Verbatim(), "sqlite")
    if isinstance(dtype, pl.List | pl.Struct):
        return sa.Text().with_variant(JSONB(), "postgresql")
    if dtype == pl.UInt64():
        return sa.Numeric(20, 0).with_variant(_Verbatim(), "sqlite")
    if dtype.is_integer():
        return sa.BigInteger()
    plain: dict[pl.DataType, sa.types.TypeEngine[Any]] = {pl.Boolean(): sa.Boolean(), pl.Date(): sa.Date()}
    return sa.Double() if dtype.is_float() else plain.get(dtype, sa.Text())


class _Verbatim(sa.types.UserDefinedType[Any]):
    """NUMERIC of SQLite, given as text: exact to 15 significant digits, so to a tenth of a cent of a trillion."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name."""
        return "NUMERIC"
