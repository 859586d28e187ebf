"""A short epoch on one core: there two threads hand work to one another at a third of the price.

Polars does much of its work on threads of its own, and waits for them. When they run on another core, each hand-over
wakes that core, which takes longer than most operations on few rows: joining two frames of one row takes 80 us of CPU
on one core and 280 us on two, and an epoch of up to some 50,000 rows a fifth to a third less, in CPU and in time.
`python -m benchmarks epochs` measures it.
"""

import contextlib
import os
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Final

import polars as pl

SHORT: Final = 1.0
"""CPU seconds; an epoch that takes more gains more from several cores than it loses."""

_THREADS: Final = Path("/proc/self/task")


def _allowed(thread: int = 0) -> frozenset[int]:
    """Cores that a thread may use, by default the calling one; nothing where the system has no such notion."""
    return frozenset(os.sched_getaffinity(thread)) if hasattr(os, "sched_getaffinity") else frozenset()


_ALL: Final = _allowed()


class OneCore:
    """Keeps this process on one core in epochs that follow a short one, until one of them turns out to be long.

    The first epoch has all cores: libraries that start threads when they are first used count the cores then.
    Nothing is done outside Linux, with one core, for threads that somebody else has bound, and where the system
    forbids it.
    """

    def __init__(self, used: Callable[[], float] = time.process_time) -> None:
        """`used`: CPU seconds that the process has used."""
        self._used = used
        self._began = 0.0
        self._core: int | None = None
        self._last = frozenset[int]()  # the core that was left
        self._others = frozenset[int]()
        self._wanted = False

    @contextlib.contextmanager
    def epoch(self) -> Iterator[None]:
        """One epoch, of the calling thread."""
        self._began = self._used()
        if self._last:  # a thread that was being begun when the core was left
            _move(self._last, _ALL, but=self._others)
            self._last = frozenset()
        if self._wanted and len(_ALL) > 1:
            self._bind()
        try:
            yield
        finally:
            self._wanted = not self._long
            self._spread()

    def check(self) -> None:
        """Use all cores again if the epoch has turned out to be long; any thread may call it."""
        if self._core is not None and self._long:
            self._spread()

    @property
    def _long(self) -> bool:
        return self._used() - self._began > SHORT

    def _bind(self) -> None:
        pl.thread_pool_size()  # makes the pool, which counts the cores
        core, there = _core(), frozenset(_threads())
        self._others = there - _move(_ALL, frozenset({core}))
        self._core = core

    def _spread(self) -> None:
        """All cores again, also for threads that were begun meanwhile."""
        core, self._core = self._core, None
        if core is not None:
            self._last = frozenset({core})
            _move(self._last, _ALL, but=self._others)


def _core() -> int:
    """The core that the calling thread runs on."""
    return int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])


def _threads() -> list[int]:
    """The process's."""
    return [int(thread.name) for thread in _THREADS.iterdir()]


def _move(old: frozenset[int], new: frozenset[int], but: Container[int] = ()) -> set[int]:
    """Let the process's threads that may use exactly some cores use others; returns which they were.

    A thread that was not moved yet may begin others, so it is done again until there are none.
    """
    moved: set[int] = set()
    while some := [thread for thread in _threads() if thread not in but and _moved(thread, old, new)]:
        moved.update(some)
    return moved


def _moved(thread: int, old: frozenset[int], new: frozenset[int]) -> bool:
    with contextlib.suppress(OSError):  # it has ended, or the system forbids it
        if _allowed(thread) == old:
            os.sched_setaffinity(thread, new)
            return True
    return False
