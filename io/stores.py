"""Blob stores below a root: a directory, or a bucket."""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol, runtime_checkable

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.disk import PRIVATE_FILE, fault, make_private
from ecompulse.io.s3 import TEMPORARY, open_s3
from ecompulse.io.schemes import Schemes, UnknownSchemeError


@dataclass(frozen=True)
class StoreContext:
    """What a store is opened with, besides its URI.

    Attributes:
        s3_endpoint: URL of an S3 server other than AWS.
        private: whether what is made on a disk is for the user alone.
    """

    s3_endpoint: str | None = None
    private: bool = True


@runtime_checkable
class CheckedStore(Store, Protocol):
    """A store that can say at the start that it could not be written to."""

    def check(self, *, writable: bool) -> None:
        """UserError when somebody must mend it, JobError when it may pass; written to only where `writable` says so."""
        ...


StoreOpener = Callable[[str, StoreContext], Store]
"""Makes a store of a URI without asking anybody. The store must be picklable: workers get a copy."""

STORES: Final = Schemes[StoreOpener](
    "store", {"file": "ecompulse.io.stores:_open_local", "s3": "ecompulse.io.stores:_open_bucket"}
)

register_store = STORES.register

UNFINISHED: Final = 3600.0
"""Seconds after which a file that is still being written was left by a writer that is dead."""


def open_store(uri: str, s3_endpoint: str | None = None, *, private: bool = True) -> Store:
    """The store for a directory or `s3://bucket/prefix`; UserError for a scheme that is not known.

    `s3_endpoint` is the URL of an S3 server other than AWS, `private` is for a LocalStore. Nothing is asked of a server
    yet.
    """
    if "://" not in uri:
        return LocalStore(str(Path(uri).absolute()), private)
    try:
        return STORES.opener(uri)(uri, StoreContext(s3_endpoint, private))
    except UnknownSchemeError as error:
        raise UserError(f"{error}; use a directory or s3://BUCKET/PREFIX") from None


def _open_local(uri: str, context: "StoreContext") -> Store:
    return LocalStore(uri.removeprefix("file://"), context.private)


def _open_bucket(uri: str, context: "StoreContext") -> Store:
    return open_s3(uri, context.s3_endpoint)


@dataclass(frozen=True)
class LocalStore:
    """A directory. What was written is on the disk when a call returns.

    Faults of the disk are JobError with the path, Unusable where waiting would not help.

    Attributes:
        root: the directory.
        private: whether what is made, from the root down, is for the user alone (files 0600, folders 0700), as personal
            data in clear must be; else the umask says who may read.
    """

    root: str
    private: bool = True

    def create(self, name: str, data: bytes) -> bool:
        """Write once: the complete file appears under its name by link(), or not at all."""
        target = self._path(name)
        with _writing(target):
            temporary = self._write_temporary(target, data)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            finally:
                temporary.unlink()
            _sync_folder(target.parent)
        return True

    def put(self, name: str, data: bytes) -> None:
        """Write or replace, atomically."""
        target = self._path(name)
        with _writing(target):
            self._write_temporary(target, data).replace(target)
            _sync_folder(target.parent)

    def get(self, name: str) -> bytes:
        """Content; FileNotFoundError when absent."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise fault(str(self._path(name)), error) from None

    def list(self, prefix: str) -> list[str]:
        """Names below the folder, sorted; files still being written are left out."""
        found: list[str] = []
        for folder, _, names in os.walk(self._path(prefix)):  # passes over folders that vanish meanwhile
            below = Path(folder).relative_to(self.root).as_posix()
            start = "" if below == "." else f"{below}/"
            found += [start + name for name in names if not name.startswith(TEMPORARY)]
        return sorted(found)

    def delete(self, names: Sequence[str]) -> None:
        """Remove files, and the folders that become empty."""
        for name in names:
            path = self._path(name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # until one is not empty
                for folder in path.relative_to(self.root).parents[:-1]:
                    Path(self.root, folder).rmdir()

    def age(self, name: str) -> float:
        """Seconds since the file was written."""
        return time.time() - self._path(name).stat().st_mtime

    def sweep(self) -> int:
        """Remove what writers that were killed left unfinished, over an hour ago; returns the number of files.

        A writer that slept for that long finds its file gone, and fails: nothing had come of it.
        """
        swept = 0
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names if name.startswith(TEMPORARY)):
                with contextlib.suppress(FileNotFoundError):  # its writer has finished, or removed it
                    if time.time() - path.stat().st_mtime > UNFINISHED:
                        path.unlink()
                        swept += 1
        return swept

    def _path(self, name: str) -> Path:
        return Path(self.root, name)

    def _make(self, folder: Path) -> None:
        if self.private:
            make_private(Path(self.root), folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)

    def _open_new(self, path: Path) -> IO[bytes]:
        mode = PRIVATE_FILE if self.private else 0o666
        return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))

    def _write_temporary(self, target: Path, data: bytes) -> Path:
        temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            handle = self._open_new(temporary)
        except FileNotFoundError:  # the folder is new, or was emptied and removed a moment ago
            self._make(target.parent)
            handle = self._open_new(temporary)
        try:
            with handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)  # of a full disk not even a part stays
            raise
        return temporary


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """JobError, with the path, for a fault of the disk; Unusable where waiting would not help."""
    try:
        yield
    except OSError as error:
        raise fault(str(target), error) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
