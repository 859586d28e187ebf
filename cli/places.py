"""Where a job reads and writes: what the flags name, checked before anything is made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ecompulse.cli.settings import Places, absolute
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.delta.lake import check_place
from ecompulse.io.disk import obstacle
from ecompulse.io.encryption import bare, encrypted
from ecompulse.io.s3 import StoreError, StoreRefused
from ecompulse.io.secrets import read_secret
from ecompulse.io.stores import CheckedStore, LocalStore, open_store

_WAREHOUSES: Final = ("sqlite", "postgresql")


def is_fresh(job: str, places: Places) -> bool:
    """Whether no epoch of the checkpoint is committed yet."""
    return not open_place("checkpoint", places.checkpoint_of(job), places).list("commits")


def check_places(job: str, places: Places) -> None:
    """UserError, naming the flag, for a place that cannot be; nothing is made, no service is asked."""
    for flag, place in places.stores_of(job):
        check_directory(flag, place)
    if places.checkpoint_backup:
        check_apart("checkpoint_backup", places.checkpoint_backup, places.checkpoint_of(job))
    encrypted(LocalStore(""), places.checkpoint_key)
    if places.lake != "none":
        _check_lake(absolute(places.lake))
    if places.warehouse != "none":
        _check_url(warehouse_of(places))


def check_stores(job: str, places: Places, *, writable: bool) -> None:
    """UserError, naming the flag, for a bucket that is not there, or into which the job may not write.

    JobError for one that does not answer. Buckets are written to only when `writable` says so.
    """
    for flag, place in places.stores_of(job):
        store = bare(open_place(flag, place, places))
        if isinstance(store, CheckedStore):
            try:
                store.check(writable=writable)
            except StoreRefused as error:
                raise UserError(f"--{flag}: {error}") from None
            except StoreError as error:
                raise JobError(f"--{flag}: {error}") from None


def check_warehouse(places: Places, tables: Sequence[TableSpec]) -> None:
    """UserError for a database that is not there, or whose tables have other columns; JobError without an answer."""
    if places.warehouse != "none":
        from ecompulse.io.sinks.warehouse import WarehouseSink  # here: SQLAlchemy takes its time

        WarehouseSink(warehouse_of(places), LocalStore("")).check(tables)


def open_place(flag: str, place: str, places: Places) -> Store:
    """The store of a flag's directory or URI; UserError names the flag. A lake is for others, too."""
    try:
        store = open_store(place, places.s3_endpoint, private=flag != "lake")
    except UserError as error:
        raise UserError(f"--{flag}: {error}") from None
    return store if flag == "lake" else encrypted(store, places.checkpoint_key)


def warehouse_of(places: Places) -> str:
    """URL of the warehouse; `env:NAME` and `file:PATH` say where it stands, for it may hold a password."""
    url = places.warehouse
    if not url.startswith(("env:", "file:")):
        return url
    try:
        return read_secret(url)
    except ValueError as error:
        raise UserError(f"--warehouse: {error}") from None


def check_directory(flag: str, place: str) -> None:
    """UserError, naming the flag, where a place of this machine can be no directory that is written to."""
    try:
        store = open_store(place)
    except UserError as error:
        raise UserError(f"--{flag}: {error}") from None
    if not isinstance(store, LocalStore):
        return
    root = Path(store.root)
    wrong = f"{root} is a file, not a directory" if root.is_file() else obstacle(root)
    if wrong:
        raise UserError(f"--{flag}: {root}: {wrong}")


def check_apart(flag: str, place: str, other: str) -> None:
    """UserError, naming the flag, where a place is another one, or one is within the other."""
    parts = [
        tuple(each.rstrip("/").split("/")) if "://" in each else Path(absolute(each)).resolve().parts
        for each in (place, other)
    ]
    shared = min(map(len, parts))
    if parts[0][:shared] == parts[1][:shared]:
        raise UserError(f"--{flag}: {place} and the checkpoint {other} must lie apart, none within the other")


def _check_lake(place: str) -> None:
    try:
        check_place(place)
    except UserError as error:
        raise UserError(f"--lake: {error}") from None


def _check_url(url: str) -> None:
    import sqlalchemy as sa

    try:
        given = sa.make_url(url)
    except sa.exc.ArgumentError:  # its text may hold the password
        raise UserError(
            "--warehouse: is no SQLAlchemy URL; give sqlite:///PATH, postgresql://USER@HOST/DB or none"
        ) from None
    kind = given.get_backend_name()
    if kind not in _WAREHOUSES:
        raise UserError(f"--warehouse: {kind} is not supported; use {' or '.join(_WAREHOUSES)}")
    if kind == "sqlite" and not given.database:
        raise UserError(f"--warehouse: {url}: names no file; give sqlite:///PATH")
