"""The rows of many entities on one line: sorted by entity and time, sums between any two places by subtraction."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecompulse.kernels.segments import Flags, changes, first_places

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EntityTimeline:
    """Rows in the order of (entity, time, order of arrival here).

    Attributes:
        order: for each place on the line, the row that stands there.
        place: for each row, its place.
        codes: entity of each place, counted from 0.
        keys: entity and time of each place in one number, ascending.
        base: the time that is 0 in `keys`, ms.
        bits: of the time in `keys`.
    """

    order: Ints
    place: Ints
    codes: Ints
    keys: Ints
    base: int
    bits: int

    @staticmethod
    def of(codes: Ints, at: Ints) -> "EntityTimeline":
        """Rows with the same entity and time keep their order; rows that come in sorted stretches cost little."""
        base = int(at.min()) if at.size else 0
        span = int(at.max()) - base + 1 if at.size else 1
        bits = max(span.bit_length(), 1)
        entities = int(codes.max()) + 1 if codes.size else 1
        if bits + entities.bit_length() > 63:  # noqa: PLR2004  # what a signed number of 64 bits holds
            raise ValueError(f"{entities} entities over {span} ms are too many for one step")
        keys = (codes << bits) | (at - base)
        order = np.argsort(keys, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        return EntityTimeline(order, place, codes[order], keys[order], base, bits)

    def firsts(self) -> Flags:
        """Whether each place is the first of its entity."""
        return changes(self.codes)

    def begins(self) -> Ints:
        """For each place, the first place of its entity."""
        return first_places(self.firsts())

    def seek(self, codes: Ints, at: Ints) -> Ints:
        """The first place of the entity at or after the time `at` (ms), or behind its last."""
        asked = (codes << self.bits) | np.clip(at - self.base, 0, (1 << self.bits) - 1)
        return np.searchsorted(self.keys, asked)


def sums(values: Ints) -> Ints:
    """Running sums along the first axis: element p is the sum before p; one element more than `values`.

    Differences are exact as long as they themselves fit 64 bits, since numbers wrap around.
    """
    total = np.zeros((values.shape[0] + 1, *values.shape[1:]), dtype=np.int64)
    np.cumsum(values, axis=0, out=total[1:])
    return total


def latest(marked: Flags, begins: Ints) -> Ints:
    """For each place, the last marked place before it of the same entity; -1 where there is none."""
    seen = np.maximum.accumulate(np.where(marked, np.arange(marked.size), -1))
    before = np.empty_like(seen)
    before[:1], before[1:] = -1, seen[:-1]
    before[before < begins] = -1
    return before


def largest(values: Any, low: Ints, high: Ints, least: int = 0) -> Any:
    """Maximum of values[low:high] for each pair, `least` for an empty one; a table of doubling stretches."""
    length = high - low
    found = np.full(low.size, least, dtype=values.dtype)
    table, width = values, 1
    longest = int(length.max()) if length.size else 0
    while width <= longest:
        now = (length >= width) & (length < 2 * width)
        found[now] = np.maximum(table[low[now]], table[high[now] - width])
        table = np.maximum(table[:-width], table[width:]) if table.size > width else table
        width *= 2
    return found
