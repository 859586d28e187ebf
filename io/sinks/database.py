"""Connections to a warehouse: SQLite and PostgreSQL, with time-outs that really bound, and errors of one line."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ecompulse.epochs.errors import UserError
from ecompulse.io.disk import obstacle

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
BUSY_SECONDS: Final = 30
"""How long SQLite waits for another writer, which has the whole file: a stopped one blocks all until it ends."""

LOCK_SECONDS: Final = 10
"""How long a statement waits in PostgreSQL for a row or table that another transaction holds."""

IDLE_SECONDS: Final = 30
"""After so long a silence within a transaction PostgreSQL ends it: a stopped writer blocks nobody for longer."""

TRANSACTION_SECONDS: Final = 300.0
"""After so long the connection is cut from our side, whatever the server does."""

_CONNECT_SECONDS: Final = 10
_NOISE: Final = re.compile(r"^(connection failed: )?(connection to server at .*? failed: )?((FATAL|ERROR): +)?")
_LASTING_STATES: Final = ("22", "23502", "28", "3D000", "3F000", "42501", "42804", "42809", "428C9", "42P10", "53100")
"""Of PostgreSQL: a value or column that is not of its type, no login, no such database or schema, no permission, a
relation of another kind, no key, disk full."""

_LASTING_WORDS: Final = (
    "unable to open", "readonly database", "is full", "disk I/O error", "not a database", "is malformed",
    "password authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "certificate",
    "does not support SSL", "invalid connection option", "invalid port number",
)  # fmt: skip
"""What SQLite says, and psycopg of connections that did not come about, when somebody must mend it."""

_TRAILER: Final = ("multiple connection attempts failed", "- host:", "Is the server running")


def open_engine(url: str) -> sa.Engine:
    """An engine, not yet connected; UserError, without the password, for a URL of no database that is supported."""
    try:
        place = sa.make_url(url)
        if place.get_backend_name() not in {SQLITE, POSTGRESQL}:
            raise UserError(f"--warehouse: {place.get_backend_name()} is not supported; use sqlite or postgresql")
        return _sqlite(place) if place.get_backend_name() == SQLITE else _postgresql(place)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UserError(f"--warehouse: {error}") from None
    except ImportError:
        raise UserError("--warehouse: postgresql needs psycopg: pip install 'ecompulse[postgres]'") from None


def is_there(engine: sa.Engine) -> bool:
    """Whether there is a database; a file of SQLite is made on the first write, and would be made by looking."""
    database = engine.url.database
    return engine.dialect.name == POSTGRESQL or bool(database and Path(database).exists())


def file_of(engine: sa.Engine) -> Path | None:
    """The file of a database of SQLite; None where there is none."""
    database = engine.url.database
    local = engine.dialect.name == SQLITE and database and database != ":memory:"
    return Path(str(database)) if local else None


def identity_of(path: Path | None) -> tuple[int, int] | None:
    """What tells a file from another of the same name; None when it is not there."""
    try:
        status = path.stat() if path else None
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino) if status else None


def check_file(path: Path) -> None:
    """UserError when no database can be written at a path; nothing is made."""
    wrong = f"{path} is a folder" if path.is_dir() else obstacle(path)
    if wrong:
        raise UserError(f"--warehouse: {path}: {wrong}")


def may_pass(error: SQLAlchemyError) -> bool:
    """Whether a database may have got over an error at the next attempt: it is busy, restarts, does not answer."""
    cause = getattr(error, "orig", None)
    if cause is None:
        return isinstance(error, sa.exc.TimeoutError)
    state = getattr(cause, "sqlstate", None)
    if state:
        return not state.startswith(_LASTING_STATES)
    return not any(text in str(cause) for text in _LASTING_WORDS)


def shown_name(engine: sa.Engine) -> str:
    """A database as people read it, without the password."""
    shown = engine.url.set(query={})  # names of files, and perhaps a password
    return f"warehouse:{shown.render_as_string(hide_password=True)}"


def _sqlite(place: sa.URL) -> sa.Engine:
    database = place.database
    if database and database != ":memory:":  # the same name for the same file, wherever the job is started
        database = str(Path(database).absolute())
    engine = sa.create_engine(place.set(database=database), connect_args={"timeout": BUSY_SECONDS})

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins, not the driver
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", begun)
    return engine


def _postgresql(place: sa.URL) -> sa.Engine:
    if place.drivername == POSTGRESQL:
        place = place.set(drivername="postgresql+psycopg")  # SQLAlchemy's own default is the older driver
    unanswered = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    given = {key: value for key, value in (("connect_timeout", _CONNECT_SECONDS), *unanswered.items())
             if key not in place.query}  # fmt: skip
    engine = sa.create_engine(place, pool_pre_ping=True, connect_args=given)

    def begun(connection: sa.Connection) -> None:
        # Not as start-up parameters: connection poolers refuse those.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")

    sa.event.listen(engine, "begin", begun)
    return engine


@contextmanager
def bounded(connection: sa.Connection, seconds: float = TRANSACTION_SECONDS) -> Iterator[None]:
    """Cut the connection when what is inside takes longer: a server that is stopped keeps it open, and says nothing."""
    if connection.dialect.name == SQLITE:
        yield
        return
    descriptor = os.dup(connection.connection.driver_connection.fileno())  # type: ignore[union-attr]  # psycopg's own
    wire = socket.socket(fileno=descriptor)

    def cut() -> None:
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        wire.close()


def reason(error: SQLAlchemyError) -> str:
    """What the database said, in a line, without the address (which the sink's name has)."""
    text = str(getattr(error, "orig", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not any(part in line for part in _TRAILER)]
    return _NOISE.sub("", (telling or lines or [type(error).__name__])[0])
