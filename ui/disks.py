"""File systems that a job writes to: as its last epoch saw them, and that of a checkpoint on a disk as it is now."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecompulse.epochs.protocols import Store
from ecompulse.io.disk import space
from ecompulse.io.encryption import bare
from ecompulse.io.stores import LocalStore
from ecompulse.ui.words import size

SCARCE: Final = 0.1
"""Share of a file system; with less of it free the system is almost full, here and in the rule DiskFilling."""

Disks = Mapping[str, Mapping[str, int]]
"""Bytes `free` and `size` by place."""


def disks_of(store: Store, progress: Mapping[str, Any]) -> Disks:
    """Of a job: a disk that is full stops the job, and then only a look at it says so."""
    kept = bare(store)
    now = space(Path(kept.root)) if isinstance(kept, LocalStore) else None
    own = {"checkpoint": {"free": now[0], "size": now[1]}} if now else {}
    return {**progress.get("disks", {}), **own}


def full_disks(disks: Disks) -> Sequence[str]:
    """Places whose file system is almost full."""
    return [name for name, disk in disks.items() if disk["free"] < SCARCE * disk["size"]]


def disk_rows(disks: Disks) -> Sequence[tuple[str, str, str, str]]:
    """Place, free, size and what to make of it, as a table."""
    full = full_disks(disks)
    return [
        (name, size(disk["free"]), size(disk["size"]), "almost full" if name in full else "enough")
        for name, disk in disks.items()
    ]
