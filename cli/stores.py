"""Stores and checkpoints that a tool is given: their flags, and how they are opened."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from ecompulse.cli.settings import absolute
from ecompulse.cli.values import web_address
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.encryption import encrypted
from ecompulse.io.lock import is_held
from ecompulse.io.secrets import secret_place
from ecompulse.io.stores import LocalStore, open_store


def add_s3_endpoint(parser: argparse.ArgumentParser) -> None:
    """The flag of a tool that opens what may be in a bucket."""
    parser.add_argument("--s3_endpoint", type=web_address, metavar="URL", help="URL of an S3-compatible server [AWS]")


def add_key(parser: argparse.ArgumentParser) -> None:
    """The flag of a tool that opens a checkpoint, which may be encrypted."""
    parser.add_argument(
        "--checkpoint_key",
        action="append",
        default=[],
        type=key_place,
        metavar="KEY",
        help="where the key of an encrypted checkpoint stands, env:NAME or file:PATH; may be given again [none]",
    )


def checkpoint_store(options: argparse.Namespace) -> Store:
    """The store of the checkpoint that a tool was given, with its `--s3_endpoint` and `--checkpoint_key`."""
    store = open_store(absolute(options.checkpoint), options.s3_endpoint)
    if isinstance(store, LocalStore) and Path(store.root).is_file():
        raise UserError(f"{store.root} is a file, not the directory of a checkpoint")
    return encrypted(store, options.checkpoint_key)


def key_place(text: str) -> str:
    """`secret_place` for argparse, which would repeat a value that is refused by ValueError."""
    try:
        return secret_place(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """The places that a tool of several checkpoints reads; see `open_checkpoints`."""
    parser.add_argument(
        "checkpoints",
        nargs="*",
        default=["./checkpoints"],
        metavar="CHECKPOINT",
        help="directory or s3:// place of a checkpoint, or a directory of checkpoints [./checkpoints]",
    )


def open_checkpoints(
    places: Sequence[str], s3_endpoint: str | None, keys: Sequence[str]
) -> list[tuple[Store, Callable[[], bool | None]]]:
    """Stores of the checkpoints that are named, or stand in a directory that is named, with whether each is held."""
    found: list[tuple[Store, Callable[[], bool | None]]] = []
    for place in places:
        folder = Path(place)
        ones = [place]
        if "://" not in place and not (folder / "meta.json").exists():
            ones = sorted(str(path.parent) for path in folder.glob("*/meta.json"))
        for one in ones:
            store = open_store(absolute(one), s3_endpoint)
            held = _holder(Path(store.root)) if isinstance(store, LocalStore) else _nobody_knows
            found.append((encrypted(store, keys), held))
    return found


def _holder(folder: Path) -> Callable[[], bool | None]:
    return lambda: is_held(folder)


def _nobody_knows() -> None:
    """A bucket has no lock."""
