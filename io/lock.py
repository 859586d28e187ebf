"""A lock file that tells a living driver from one that died or was stopped."""

import fcntl
import os
import socket
import threading
import time
from pathlib import Path
from typing import Final

from ecompulse.epochs.errors import JobError
from ecompulse.io.disk import PRIVATE_FILE, make_private

BEAT: Final = 1.0  # seconds
STALE: Final = 8.0  # seconds without a beat after which a driver counts as stopped


def is_held(folder: Path) -> bool:
    """Whether the lock of a checkpoint's folder beats, as far as its file tells: a look takes no lock."""
    try:
        return time.time() - (folder / "lock").stat().st_mtime < STALE
    except OSError:
        return False


class DriverLock:
    """Held while a driver lives on a checkpoint in a directory.

    The file's time is a heartbeat. A newcomer finds the lock free when the holder is dead, is refused while it
    beats, and takes over when it has not beaten for `STALE` seconds (stopped, or its host lost): the older one
    is then fenced by its fencing token should it wake.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare; `acquire` takes it."""
        self._path = folder / "lock"
        self._stop = threading.Event()
        self._handle: int | None = None
        self._heart: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock; JobError when another driver is alive."""
        make_private(self._path.parent)
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                self._wait_until_stale()
                continue
            if os.fstat(handle).st_nlink == 0:  # replaced between open and flock
                os.close(handle)
                continue
            break
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        self._handle = handle
        self._heart = threading.Thread(target=self._beat, args=(handle,), name="lock-heartbeat", daemon=True)
        self._heart.start()

    def release(self) -> None:
        """Give the lock up."""
        self._stop.set()
        if self._heart is not None:
            self._heart.join()  # it must not touch the handle's number once that is another file's
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _beat(self, handle: int) -> None:
        while not self._stop.wait(BEAT):
            os.utime(handle)

    def _wait_until_stale(self) -> None:
        try:
            seen = self._path.stat().st_mtime
            holder = self._path.read_text() or "another process"
        except FileNotFoundError:
            return
        deadline = time.monotonic() + STALE
        while time.monotonic() < deadline:
            time.sleep(BEAT / 4)
            try:
                if self._path.stat().st_mtime != seen:
                    raise JobError(f"checkpoint {self._path.parent}: a driver is running on it ({holder})")
            except FileNotFoundError:
                return
        self._path.unlink(missing_ok=True)  # the stopped driver keeps a lock on a file without a name
