"""A round of work: each piece is done by whichever thread is free, and what comes of it is kept in order."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from ecompulse.runners.local.graph import Node
from ecompulse.runners.local.lane import Found, Lane, Stopped
from ecompulse.runners.local.one_core import OneCore

ALONE: Final = 0.01
"""Seconds that the first thread of a round is left alone: what takes less is not worth a second one."""

Work = tuple[Node | None, Any]
"""A node and an element that comes out of it; or None, and a node whose bundle ends."""


class Team:
    """Threads, each with a lane of its own; both are made when they are first needed, and stay.

    So what a thread has open, such as a connection, is used again.
    """

    def __init__(self, size: int, make: Callable[[], Lane], failed: threading.Event, one_core: OneCore) -> None:
        """`make` gives a new lane; `failed` ends the work of all; `one_core` is left when the work gets long."""
        self._size = size
        self._make = make
        self._failed = failed
        self._one_core = one_core
        self._first = make()
        self._others: dict[int, Lane] = {}
        self._pool: ThreadPoolExecutor | None = None

    @property
    def lanes(self) -> list[Lane]:
        """Those that there are, the calling thread's first."""
        return [self._first, *(self._others[number] for number in sorted(self._others))]

    def work(self, work: Sequence[Work]) -> Found:
        """Do it all; returns what was found, in the order of the work. The first error is raised."""
        round_ = _Round(work, self._failed, self._one_core)
        helpers = [self._threads.submit(self._help, number, round_) for number in range(1, min(self._size, len(work)))]
        try:
            round_.carry(self._first)
        finally:
            round_.over.set()
            for helper in helpers:
                helper.result()
        return round_.result()

    def _help(self, number: int, round_: "_Round") -> None:
        if round_.over.wait(ALONE):
            return
        try:
            if number not in self._others:
                self._others[number] = self._make()
        except BaseException as error:  # noqa: BLE001  # the first thread raises it
            round_.fail(error)
            return
        round_.carry(self._others[number])

    @property
    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._size - 1, "local-runner")
        return self._pool

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


class _Round:
    """Work that several lanes share.

    Attributes:
        over: set when no work is left to begin.
    """

    def __init__(self, work: Sequence[Work], failed: threading.Event, one_core: OneCore) -> None:
        self.over = threading.Event()
        self._failed = failed
        self._one_core = one_core
        self._left = iter(enumerate(work))
        self._found: list[Found] = [{} for _ in work]
        self._errors: list[BaseException] = []
        self._lock = threading.Lock()

    def carry(self, lane: Lane) -> None:
        """Do work until none is left or a lane has failed."""
        while not self._failed.is_set():
            with self._lock:
                piece = next(self._left, None)
            if piece is None:
                return
            self._one_core.check()
            number, (node, what) = piece
            try:
                if node is None:
                    lane.finish(what)
                else:
                    lane.send(node.ways.get(None, ()), what)
            except Stopped:
                return
            except BaseException as error:  # noqa: BLE001  # the first thread raises it
                self.fail(error)
                return
            self._found[number] = lane.taken()

    def fail(self, error: BaseException) -> None:
        """Stop the others."""
        with self._lock:
            self._errors.append(error)
        self._failed.set()

    def result(self) -> Found:
        """What was found; the first error is raised."""
        if self._errors:
            raise self._errors[0]
        together: Found = {}
        for found in self._found:
            merge(together, found)
        return together


def merge(into: Found, found: Found) -> None:
    """Add what was found."""
    for index, values in found.items():
        into.setdefault(index, []).extend(values)
