"""The disks that a job writes to, and what is free on them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ecompulse.cli.places import warehouse_of
from ecompulse.cli.settings import Places
from ecompulse.epochs.protocols import Store
from ecompulse.io.disk import space
from ecompulse.io.encryption import bare
from ecompulse.io.stores import LocalStore

DISKS: Final = "disks"
"""Part of the progress: bytes `free` and `size` of the file system of each place that is on a disk."""


def folders_of(checkpoint: Store, outputs: Store, backup: Store | None, places: Places) -> Mapping[str, Path]:
    """Those places that are on a disk, by the names of their flags."""
    stores = {"checkpoint": checkpoint, **({"lake": outputs} if places.lake != "none" else {}), "backup": backup}
    kept = {name: bare(store) for name, store in stores.items() if store}
    folders = {name: Path(store.root) for name, store in kept.items() if isinstance(store, LocalStore)}
    if places.warehouse != "none":
        from ecompulse.io.sinks.database import file_of, open_engine  # here: SQLAlchemy takes its time

        if path := file_of(open_engine(warehouse_of(places))):
            folders["warehouse"] = path
    return folders


def spaces_of(folders: Mapping[str, Path]) -> Mapping[str, Mapping[str, int]]:
    """Free and whole bytes by place; a place that does not say is left out."""
    spaces = {name: space(folder) for name, folder in folders.items()}
    return {name: {"free": each[0], "size": each[1]} for name, each in spaces.items() if each}
