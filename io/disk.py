"""What a disk has to say: faults of files in a line, and whether a place could be made at all."""

import errno
import os
import re
from pathlib import Path
from typing import Final

from ecompulse.epochs.errors import JobError, Unusable

_PASSING: Final = frozenset(
    {
        errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE,
        errno.ETIMEDOUT,
    }
)  # fmt: skip
PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700

_TOLD: Final = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust repeat the number of a fault."""


def fault(where: str, error: OSError) -> JobError:
    """An error of the file system as one line with the place; Unusable where waiting would not help."""
    said = error.strerror or str(error).splitlines()[0]
    return (JobError if error.errno in _PASSING else Unusable)(f"{where}: {said}")


def make_private(root: Path, folder: Path | None = None) -> None:
    """Make a root, and a folder below it, for the user alone; safe to repeat.

    What is there keeps its mode, and folders above the root are made as usual: others may keep theirs in them.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    below = (folder or root).relative_to(root).parts
    for depth in range(len(below) + 1):
        root.joinpath(*below[:depth]).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def is_lasting(text: str) -> bool:
    """Whether a library repeats a fault of the disk that waiting would not mend: no space, no permission."""
    found = _TOLD.search(text)
    return found is not None and int(found[1]) not in _PASSING | {errno.ENOENT}


def obstacle(path: Path) -> str | None:
    """Why no file or folder could be made or written at a path, in words; None when nothing is in the way."""
    try:
        there = next(each for each in (path, *path.parents) if each.exists())
    except OSError as error:
        return error.strerror
    if there != path and not there.is_dir():
        return f"{there} is a file, not a directory"
    wanted = os.W_OK | os.X_OK if there.is_dir() else os.W_OK
    return None if os.access(there, wanted) else f"{there}: permission denied"


def space(path: Path) -> tuple[int, int] | None:
    """Free and whole bytes of the file system of a place, or of what is there above it; None when it does not say."""
    try:
        there = next(each for each in (path, *path.parents) if each.exists())
        system = os.statvfs(there)
    except OSError:
        return None
    return system.f_bavail * system.f_frsize, system.f_blocks * system.f_frsize
