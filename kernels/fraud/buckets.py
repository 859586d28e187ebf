"""Windows of history whose beginning is rounded down to a bucket, so that old rows can be summed without loss."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecompulse.kernels.durations import duration_text, parse_duration
from ecompulse.kernels.rows import DAY_MS

Times = NDArray[np.int64]

_MINUTE: Final = 60_000
_HOUR: Final = 3_600_000
BUCKETS: Final = (1_000, _MINUTE, 5 * _MINUTE, _HOUR, 2 * _HOUR, 12 * _HOUR, 3 * DAY_MS)
"""Sizes of buckets in ms; each divides the next."""

_PARTS: Final = 10  # a window is longer by a tenth at the most


@dataclass(frozen=True)
class Window:
    """A window of the past.

    Attributes:
        name: such as `7d`; part of the names of features.
        length: ms; it begins at event_time - length, rounded down to `bucket_ms`, and ends before the row itself.
    """

    name: str
    length: int

    @property
    def bucket_ms(self) -> int:
        """Ms; the largest that makes the window longer by no more than a tenth, a second at the least."""
        return max((size for size in BUCKETS if size * _PARTS <= self.length), default=BUCKETS[0])

    def start(self, at: Times) -> Times:
        """Where the window of a row at `at` (ms) begins."""
        start: Times = floored(at - self.length, self.bucket_ms)
        return start


def floored(at: Any, bucket_ms: int) -> Any:
    """Times (ms) rounded down to a bucket."""
    return at // bucket_ms * bucket_ms


def settled(at: Times, windows: Sequence[Window], watermark: int) -> Times:
    """The bucket (its beginning, ms) in which each row before the watermark may be summed; -1: no window needs it.

    For rows at or after the watermark every window of `windows` (ascending) then holds the same sums.
    """
    bucket = np.where(at < watermark, floored(at, windows[0].bucket_ms), at)
    for window, wider in itertools.pairwise(windows):
        edge = floored(watermark - window.length, window.bucket_ms)
        old = np.flatnonzero(at < floored(edge, wider.bucket_ms))  # their wider bucket ends by the edge
        bucket[old] = floored(at[old], wider.bucket_ms)
    last = windows[-1]
    bucket[bucket < floored(watermark - last.length, last.bucket_ms)] = -1
    return bucket


def parse_window(text: str) -> Window:
    """The window of a text such as `1h` or `30d`.

    Raises:
        ValueError: for a text that is none.
    """
    length = parse_duration(text)
    if length < BUCKETS[0]:
        raise ValueError(f"{text!r} is too short: a window of history has a second or more")
    return Window(duration_text(length), length)
