"""Whether a file is the one that was begun: what is remembered of its bytes, and where it is if it was renamed.

Inode and times only say when to look: a file that was copied or touched has others and is the same. What counts are the
first bytes, and those just before where reading stands.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.listing import Listed

_FIRST: Final = 64 * 1024
_LAST: Final = 1024
MOVED: Final = "moved"
"""Key of what is remembered of a name whose file has another one now."""


def identity(file: Listed, read: int) -> dict[str, Any]:
    """What to remember of a file of which so many bytes were read, as they are on the disk."""
    return {"inode": file.inode, "mtime": file.mtime, "read": read, "hash": _hash(file.path, read)}


def is_same(file: Listed, known: Mapping[str, Any]) -> bool:
    """Whether a listed file begins with what was read of the one that is remembered."""
    if "hash" not in known or (file.inode, file.mtime, file.size) == (known["inode"], known["mtime"], known["size"]):
        return True
    return bool(file.size >= known["read"] and _hash(file.path, known["read"]) == known["hash"])


def renamed(files: Sequence[Listed], positions: Mapping[str, Any]) -> dict[str, str]:
    """Former names, by present ones, of files renamed since they were begun, as logs are when they rotate."""
    listed = {file.path: file.inode for file in files}
    left = {
        known["inode"]: path
        for path, known in positions.items()
        if MOVED not in known and known.get("inode") and listed.get(path) != known["inode"]
    }
    found = {file.path: left[file.inode] for file in files if file.inode in left}
    return {
        file.path: found[file.path]
        for file in files
        if file.path in found
        and positions.get(file.path, {}).get("inode") != file.inode
        and is_same(file, positions[found[file.path]])
    }


def _hash(path: str, read: int) -> str:
    try:
        with Path(path).open("rb") as handle:
            digest = hashlib.sha256(handle.read(min(read, _FIRST)))
            handle.seek(max(0, read - _LAST), os.SEEK_SET)
            digest.update(handle.read(min(read, _LAST)))
    except OSError as error:
        raise JobError(f"{path}: cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()
