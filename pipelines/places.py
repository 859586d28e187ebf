"""Where a job reads and writes: what the flags name, checked before anything is made."""

from pathlib import Path
from typing import Final

from ecompulse.epochs.errors import UserError
from ecompulse.io.stores import open_store
from pipelines.flags import Options

_WAREHOUSES: Final = ("sqlite", "postgresql")


def absolute(path: str) -> str:
    """A path that means the same in every process; URIs stay as they are."""
    return path if "://" in path else str(Path(path).absolute())


def checkpoint_of(job: str, options: Options) -> str:
    """Where the job's checkpoint is."""
    return absolute(options.checkpoint or f"checkpoints/{job}")


def check_places(job: str, options: Options) -> None:
    """UserError, naming the flag, for a place that cannot be; nothing is made, no service is asked."""
    _check_directory("checkpoint", checkpoint_of(job, options))
    if options.lake != "none":
        _check_directory("lake", absolute(options.lake))
    for uri in options.sink:
        scheme, colon, rest = uri.partition(":")
        if not colon or scheme != "jsonl":
            raise UserError(f"--sink: {uri}: no such sink; give jsonl:DIRECTORY")
        _check_directory("sink", absolute(rest.removeprefix("//")))
    if options.warehouse != "none":
        _check_url(options.warehouse)


def _check_directory(flag: str, place: str) -> None:
    try:
        root = Path(open_store(place).root)
    except UserError as error:
        raise UserError(f"--{flag}: {error}") from None
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--{flag}: {root}: {there} is a file, not a directory")


def _check_url(url: str) -> None:
    import sqlalchemy as sa

    try:
        kind = sa.make_url(url).get_backend_name()
    except sa.exc.ArgumentError:  # its text may hold the password
        raise UserError(
            "--warehouse: is no SQLAlchemy URL; give sqlite:///PATH, postgresql+psycopg://HOST/DB or none"
        ) from None
    if kind not in _WAREHOUSES:
        raise UserError(f"--warehouse: {kind} is not supported; use {' or '.join(_WAREHOUSES)}")
