"""Proof that nobody changes a frame that was handed on: a mark of every one, compared again and again."""

import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import polars as pl

from ecompulse.epochs.coders import encode
from ecompulse.epochs.shard_input import ShardInput
from ecompulse.runners.local.graph import Node


class FrameChanged(Exception):  # noqa: N818  # says what happened
    """A step has changed a frame in place that others have too."""


class Seen:
    """Marks of all frames of a run; for tests, since it holds and encodes every frame."""

    def __init__(self) -> None:
        self._marks: dict[int, tuple[pl.DataFrame, bytes, str]] = {}
        self._lock = threading.Lock()

    def before(self, value: Any) -> None:
        """Remember an element's frames; one that is known must be as it was."""
        for frame in _frames(value):
            with self._lock:
                known = self._marks.get(id(frame))
            if known is not None:
                _compare(*known)
            else:
                mark = _mark(frame)
                with self._lock:
                    self._marks[id(frame)] = frame, mark, "a step that made it"

    def after(self, node: Node, value: Any) -> None:
        """FrameChanged when the node has changed a frame; later changes count as its own too."""
        for frame in _frames(value):
            with self._lock:
                _, mark, _ = self._marks[id(frame)]
                self._marks[id(frame)] = frame, mark, node.label
            _compare(frame, mark, node.label)

    def check(self) -> None:
        """At the end of a run, all frames must be as they were; those of the next are others."""
        for known in self._marks.values():
            _compare(*known)
        self._marks.clear()


def _frames(value: Any) -> Iterator[pl.DataFrame]:
    if isinstance(value, pl.DataFrame):
        yield value
    elif isinstance(value, ShardInput):
        yield from _frames(value.rows)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _frames(part)


def _mark(frame: pl.DataFrame) -> bytes:
    return hashlib.blake2b(encode(frame)).digest()


def _compare(frame: pl.DataFrame, mark: bytes, label: str) -> None:
    if _mark(frame) != mark:
        raise FrameChanged(f"a frame was changed after it was handed on; the last to have it was {label}")
