"""State files that a process has in memory."""

import os
import threading
from collections import OrderedDict
from typing import Final, Protocol

import polars as pl

CACHE_MB: Final = "ECOMPULSE_STATE_CACHE_MB"
"""Environment variable: MB of state that one process keeps in memory, 2048 by default."""

CACHE_BYTES: Final = int(os.environ.get(CACHE_MB, "2048")) * 1024**2


class Content(Protocol):
    """What a state file holds: a run of a table, or a chunk of an ordered list."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        ...

    @property
    def frame(self) -> pl.DataFrame:
        """Its rows."""
        ...

    def dump(self) -> bytes:
        """As a file."""
        ...


class StateCache:
    """LRU cache of the state files that this process has in memory.

    Files are never rewritten, and their names carry epoch and attempt, so that what is cached cannot be stale.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        """`limit` in bytes."""
        self._limit = limit
        self._files: OrderedDict[str, Content] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> Content | None:
        """A file's content, if it is cached."""
        with self._lock:
            content = self._files.get(name)
            if content is not None:
                self._files.move_to_end(name)
            return content

    def put(self, name: str, content: Content) -> None:
        """Keep a file's content."""
        with self._lock:
            if name not in self._files:
                self._bytes += content.nbytes
            self._files[name] = content
            while self._bytes > self._limit and len(self._files) > 1:
                self._bytes -= self._files.popitem(last=False)[1].nbytes

    def drop(self, name: str) -> None:
        """Forget a file that was merged into another."""
        with self._lock:
            content = self._files.pop(name, None)
            self._bytes -= content.nbytes if content else 0
