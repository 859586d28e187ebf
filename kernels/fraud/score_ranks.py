"""How scores rank among those before them, whatever model they are of."""

from functools import cached_property
from typing import Final

import numpy as np

from ecompulse.kernels.fraud.entity_timeline import Floats, Ints

_STEP: Final = 0.05
SIZE: Final = 640


class Ranks:
    """A histogram of the scores that transactions had when they came; order makes no difference."""

    def __init__(self, counts: Floats | None = None) -> None:
        """`counts`: per step of 0.05, from 0 to 32."""
        self.counts = np.zeros(SIZE) if counts is None else counts

    @cached_property
    def _above(self) -> Floats:
        above = np.cumsum(self.counts[::-1])[::-1]
        share: Floats = (above + 1) / (above[0] + 1)
        return share

    def rarity(self, scores: Floats) -> Floats:
        """Share of the transactions that scored as high or higher."""
        found: Floats = self._above[_steps(scores)]
        return found

    @staticmethod
    def note(scores: Floats) -> Ints:
        """Counts of these scores alone."""
        return np.bincount(_steps(scores), minlength=SIZE)

    def plus(self, counts: Ints) -> "Ranks":
        """With these counts."""
        return Ranks(self.counts + counts)

    def aged(self, factor: float) -> "Ranks":
        """With all counts multiplied."""
        return Ranks(self.counts * factor)


def total_of(counts: Ints) -> int:
    """Sum of the scores that were counted, in steps."""
    return int(counts @ np.arange(SIZE))


def in_units(steps: float) -> float:
    """A score of so many steps."""
    return steps * _STEP


def _steps(scores: Floats) -> Ints:
    return np.clip(scores / _STEP, 0, SIZE - 1).astype(np.int64)
