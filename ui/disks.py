"""File systems that a job writes to, as the progress of an epoch has them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ecompulse.ui.words import size

SCARCE: Final = 0.1
"""Share of a file system; with less of it free the system is almost full, here and in the rule DiskFilling."""


def full_disks(progress: Mapping[str, Any]) -> Sequence[str]:
    """Places whose file system is almost full."""
    return [name for name, disk in progress.get("disks", {}).items() if disk["free"] < SCARCE * disk["size"]]


def disk_rows(progress: Mapping[str, Any]) -> Sequence[tuple[str, str, str, str]]:
    """Place, free, size and what to make of it, as a table."""
    full = full_disks(progress)
    return [
        (name, size(disk["free"]), size(disk["size"]), "almost full" if name in full else "enough")
        for name, disk in progress.get("disks", {}).items()
    ]
