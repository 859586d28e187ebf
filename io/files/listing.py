"""Which files a `--source` names, in the order in which they are one stream."""

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecompulse.epochs.errors import UserError
from ecompulse.io.files.records import suffix_of

SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")


@dataclass(frozen=True)
class Listed:
    """A file as listed: its absolute path and size in bytes."""

    path: str
    size: int
    modified: float


def list_files(pattern: str, order: str) -> list[Listed]:
    """The files of a path, folder or glob, sorted by `order` (`name` or `mtime`, then name).

    Folders give the files below them that have a known suffix; hidden ones and those still being written
    (`.` or `_` first) are passed over. UserError for a single file of a suffix that is not known.
    """
    path = Path(pattern)
    if path.is_dir():
        names = [str(found) for found in path.rglob("*") if found.is_file()]
        names = [name for name in names if suffix_of(name) in SUFFIXES and not _hidden(name, pattern)]
    elif path.is_file():
        names = [pattern]
    else:
        names = [name for name in glob.glob(pattern, recursive=True) if Path(name).is_file()]  # noqa: PTH207  # absolute patterns
    for name in names:
        if suffix_of(name) not in SUFFIXES:
            raise UserError(f"--source: {name}: unknown kind of file; known are {' '.join(SUFFIXES)}, each also .gz")
    listed = []
    for name in names:
        try:
            status = os.stat(name)  # noqa: PTH116  # one call per file of large folders
        except FileNotFoundError:
            continue
        listed.append(Listed(str(Path(name).absolute()), status.st_size, status.st_mtime))
    return sorted(listed, key=lambda file: (file.modified if order == "mtime" else 0, file.path))


def _hidden(name: str, base: str) -> bool:
    return any(part.startswith((".", "_")) for part in Path(name).relative_to(base).parts)
