"""When visits begin: the day's and the week's rhythm, exact in number and in memory of an hour."""

from typing import Final

import numpy as np

from ecompulse.simulator.draw import Draw, Ints
from ecompulse.simulator.settings import HOUR_MS

HOURS: Final = (9, 6, 4, 3, 3, 5, 10, 18, 26, 32, 36, 38, 42, 38, 34, 33, 35, 40, 48, 56, 62, 58, 40, 20)
"""Weight of each UTC hour of a day: low at night, a lunch peak, an evening peak."""

DAYS: Final = (10, 9, 9, 10, 11, 12, 13)
"""Weight of each day of a week, Monday first."""

_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


class Rhythm:
    """Density of visits over [start, end) (UTC ms), piecewise constant by the hour."""

    def __init__(self, start: int, end: int, *, flat: bool) -> None:
        first, last = start // HOUR_MS, -(-end // HOUR_MS)
        hours = np.arange(first, last, dtype=np.int64)
        weekday = (hours // 24 + _EPOCH_WEEKDAY) % 7
        weights = np.asarray(HOURS, dtype=np.int64)[hours % 24] * np.asarray(DAYS, dtype=np.int64)[weekday]
        self._weights: Ints = np.ones_like(hours) if flat else weights
        self._edges: Ints = np.clip(np.arange(first, last + 1, dtype=np.int64) * HOUR_MS, start, end)
        lengths = np.diff(self._edges)
        self._mass: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._weights * lengths)])

    def _until(self, moment: int) -> int:
        at = int(np.searchsorted(self._edges, moment, side="right")) - 1
        if at >= len(self._weights):
            return int(self._mass[-1])
        return int(self._mass[at] + (moment - self._edges[at]) * self._weights[at])

    def count(self, total: int, start: int, end: int) -> int:
        """How many of `total` fall in [start, end); over a partition of the whole they add up to `total`."""
        whole = int(self._mass[-1])
        return total * self._until(end) // whole - total * self._until(start) // whole

    def times(self, draw: Draw, size: int, start: int, end: int) -> Ints:
        """`size` moments in [start, end), ascending, UTC ms."""
        low, high = self._until(start), self._until(end)
        mass = np.sort(draw.between(size, low, max(high, low + 1)))
        at = np.searchsorted(self._mass, mass, side="right") - 1
        moments: Ints = self._edges[at] + (mass - self._mass[at]) // self._weights[at]
        return moments
