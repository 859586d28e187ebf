"""Where a job reads and writes: what the flags name, checked before anything is made."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.disk import obstacle
from ecompulse.io.encryption import bare, encrypted
from ecompulse.io.kafka.address import SCHEME
from ecompulse.io.s3 import S3Store, StoreError, StoreRefused
from ecompulse.io.stores import LocalStore, open_store
from pipelines.flags import Options

LIVE_TRIGGER: Final = 10_000
"""Ms between epochs of a job that reads from Kafka."""

if TYPE_CHECKING:
    from ecompulse.epochs.job import Job

_WAREHOUSES: Final = ("sqlite", "postgresql")


def absolute(path: str) -> str:
    """A path that means the same in every process; URIs stay as they are."""
    return path if "://" in path else str(Path(path).absolute())


def checkpoint_of(job: str, options: Options) -> str:
    """Where the job's checkpoint is."""
    name = job if options.instance is None else f"{job}-{options.instance}"
    return absolute(options.checkpoint or f"checkpoints/{name}")


def is_fresh(job: str, options: Options) -> bool:
    """Whether no epoch of the checkpoint is committed yet."""
    return not open_place("checkpoint", checkpoint_of(job, options), options).list("commits")


def trigger_of(options: Options) -> str | int:
    """`available-now`, `once`, or ms between epochs; without the flag, by the kind of the sources."""
    more = (options.values.get(name) or "" for name in ("kpis", "labels"))
    live = any(uri.startswith(SCHEME) for uri in [*options.source, *more])
    return options.trigger if options.trigger is not None else LIVE_TRIGGER if live else "available-now"


def check_places(job: str, options: Options) -> None:
    """UserError, naming the flag, for a place that cannot be; nothing is made, no service is asked."""
    for flag, place in _stores(job, options):
        _check_directory(flag, place)
    encrypted(LocalStore(""), options.checkpoint_key)
    if options.lake != "none":
        _check_lake(absolute(options.lake))
    for uri in options.sink:
        scheme, colon, rest = uri.partition(":")
        if uri.startswith(SCHEME):
            continue  # see pipelines.topics
        if not colon or scheme != "jsonl":
            raise UserError(f"--sink: {uri}: no such sink; give kafka://host:port or jsonl:DIRECTORY")
        _check_directory("sink", absolute(rest.removeprefix("//")))
    if options.warehouse != "none":
        _check_url(warehouse_of(options))


def check_services(job: "Job", options: Options, *, writable: bool) -> None:
    """UserError, naming the flag, for a bucket or database that is not there, or into which we may not write.

    JobError for one that does not answer. Buckets are written to only when `writable` says so.
    """
    if options.warehouse != "none":
        from ecompulse.io.sinks.warehouse import WarehouseSink

        WarehouseSink(warehouse_of(options), LocalStore("")).check(job.tables)
    for flag, place in _stores(job.name, options):
        store = bare(open_place(flag, place, options))
        if isinstance(store, S3Store):
            try:
                store.check(writable=writable)
            except StoreRefused as error:
                raise UserError(f"--{flag}: {error}") from None
            except StoreError as error:
                raise JobError(f"--{flag}: {error}") from None


def open_place(flag: str, place: str, options: Options) -> Store:
    """The store of a flag's directory or URI; UserError names the flag. A lake is for others, too."""
    try:
        store = open_store(place, options.s3_endpoint, private=flag != "lake")
    except UserError as error:
        raise UserError(f"--{flag}: {error}") from None
    return store if flag == "lake" else encrypted(store, options.checkpoint_key)


def warehouse_of(options: Options) -> str:
    """URL of the warehouse; `env:NAME` and `file:PATH` say where it stands, for it may hold a password."""
    url = str(options.warehouse)
    if not url.startswith(("env:", "file:")):
        return url
    from ecompulse.io.secrets import read_secret

    try:
        return read_secret(url)
    except ValueError as error:
        raise UserError(f"--warehouse: {error}") from None


def _stores(job: str, options: Options) -> list[tuple[str, str]]:
    """Flag and place of every store that the job will write to."""
    places = [("checkpoint", checkpoint_of(job, options))]
    if options.checkpoint_backup:
        places.append(("checkpoint_backup", absolute(options.checkpoint_backup)))
    if options.lake != "none":
        places.append(("lake", absolute(options.lake)))
    return places


def _check_directory(flag: str, place: str) -> None:
    try:
        store = open_store(place)
    except UserError as error:
        raise UserError(f"--{flag}: {error}") from None
    if isinstance(store, S3Store):
        return
    root = Path(store.root)
    wrong = f"{root} is a file, not a directory" if root.is_file() else obstacle(root)
    if wrong:
        raise UserError(f"--{flag}: {root}: {wrong}")


def _check_lake(place: str) -> None:
    from ecompulse.io.delta.lake import check_place

    try:
        check_place(place)
    except UserError as error:
        raise UserError(f"--lake: {error}") from None


def _check_url(url: str) -> None:
    import sqlalchemy as sa

    try:
        kind = sa.make_url(url).get_backend_name()
    except sa.exc.ArgumentError:  # its text may hold the password
        raise UserError(
            "--warehouse: is no SQLAlchemy URL; give sqlite:///PATH, postgresql://USER@HOST/DB or none"
        ) from None
    if kind not in _WAREHOUSES:
        raise UserError(f"--warehouse: {kind} is not supported; use {' or '.join(_WAREHOUSES)}")
