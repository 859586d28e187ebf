"""Which files a `--source` names, in the order in which they are one stream."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from ecompulse.epochs.errors import UserError
from ecompulse.io.files.kinds import SUFFIXES, belongs, kind_of
from ecompulse.kernels.foreign.dialect import PLAIN, Dialect


@dataclass(frozen=True)
class Listed:
    """A file as listed.

    Attributes:
        path: absolute.
        size: bytes.
        mtime: when it was last written, ns.
        inode: device and inode, as long as it is there the same under any name.
    """

    path: str
    size: int
    mtime: int
    inode: str

    @property
    def modified(self) -> float:
        """When it was last written, in seconds."""
        return self.mtime / 1e9


def list_files(pattern: str, order: str, dialect: Dialect = PLAIN) -> list[Listed]:
    """The files of a path, folder or glob, sorted by `order` (`name` or `mtime`, then name).

    Folders give the files below them that have a known suffix, also through links; hidden ones and those still being
    written (`.` or `_` first) are passed over. A glob that matches folders means them. A file with several names is
    read once. UserError for a single file of which neither suffix, nor `dialect`, nor first byte says what it holds.
    """
    names: list[str] = []
    for name in _matched(pattern):
        if Path(name).is_dir():
            names += (file for file in _below(name) if belongs(file, dialect))
        elif Path(name).is_file():
            if kind_of(name, dialect) is None:
                raise UserError(
                    f"--source: {name}: unknown kind of file; known are {' '.join(SUFFIXES)}, each also .gz .zst .bz2; "
                    "for others a --mapping says `format: {kind: csv}`, or json"
                )
            names.append(name)
    listed = _once(_with_status(names))
    return sorted(listed, key=lambda file: (file.mtime if order == "mtime" else 0, file.path))


class PassedOver(NamedTuple):
    """What `list_files` leaves out of the folders of a pattern, sorted.

    Attributes:
        other: files of other suffixes.
        no_files: what has the name of a file, and is none: links to nowhere, pipes, sockets.
    """

    other: list[str]
    no_files: list[str]


def passed_over(pattern: str, dialect: Dialect = PLAIN) -> PassedOver:
    """What is left out, looked for in one walk."""
    left = PassedOver([], [])
    for name in sorted(name for folder in filter(os.path.isdir, _matched(pattern)) for name in _below(folder)):
        if not belongs(name, dialect):
            left.other.append(name)
        elif not os.path.isfile(name):  # noqa: PTH113  # of large folders
            left.no_files.append(name)
    return left


def _matched(pattern: str) -> list[str]:
    return [pattern] if os.path.lexists(pattern) else glob.glob(pattern, recursive=True)  # noqa: PTH207  # absolute


def may_list(pattern: str, path: str) -> bool:
    """Whether `list_files` of a pattern would come to a file, whatever its suffix, if it were there."""
    names, wanted = Path(os.path.realpath(path)).parts, Path(pattern).parts
    magic = [at for at, part in enumerate(wanted) if glob.has_magic(part)]
    plain = magic[0] if magic and not os.path.lexists(pattern) else len(wanted)
    root = Path(os.path.realpath(Path(*wanted[:plain])))
    parts = (*map(glob.escape, root.parts), *wanted[plain:])
    return any(
        _matches(parts, names[:at]) and not any(name.startswith((".", "_")) for name in names[at:])
        for at in range(1, len(names) + 1)
    )


def _matches(parts: Sequence[str], names: Sequence[str]) -> bool:
    """Whether glob would find a path, both in parts."""
    if not parts or not names:
        return not names and all(part == "**" for part in parts)
    if parts[0] == "**":
        hidden = names[0].startswith(".")
        return _matches(parts[1:], names) or (not hidden and _matches(parts, names[1:]))
    hidden = names[0].startswith(".") and not parts[0].startswith(".")
    return not hidden and fnmatchcase(names[0], parts[0]) and _matches(parts[1:], names[1:])


def _below(folder: str) -> Iterator[str]:
    """Files of a folder and those in it, whatever their suffix, but for hidden ones and those still being written.

    A linked folder is entered, but none twice, so that no ring of links is endless.
    """
    entered = set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in entered else sorted(name for name in folders if not name.startswith((".", "_")))
        if real not in entered:
            yield from (
                os.path.join(place, name)  # noqa: PTH118  # of large folders
                for name in names
                if not name.startswith((".", "_"))
            )
        entered.add(real)


def _with_status(names: Iterable[str]) -> Iterator[Listed]:
    for name in names:
        try:
            status = os.stat(name)  # noqa: PTH116  # one call per file of large folders
        except FileNotFoundError:  # a link to nowhere, or just gone
            continue
        if os.path.isfile(name):  # noqa: PTH113
            yield Listed(os.path.abspath(name), status.st_size, status.st_mtime_ns, f"{status.st_dev}:{status.st_ino}")  # noqa: PTH100


def _once(files: Iterable[Listed]) -> list[Listed]:
    """Each file under one name: its own rather than a link's."""
    found: dict[str, Listed] = {}
    for file in files:
        other = found.setdefault(file.inode, file)
        if other.path != file.path and (_is_link(other), other.path) > (_is_link(file), file.path):
            found[file.inode] = file
    return list(found.values())


def _is_link(file: Listed) -> bool:
    return os.path.realpath(file.path) != file.path
