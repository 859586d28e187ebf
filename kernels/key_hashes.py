"""Fingerprints of keys as sorted arrays: found, merged and told apart without moving the rows they stand for.

Order is by `hi`, then `lo`. Almost always `hi` alone says it, and a stable sort of two sorted stretches costs one pass;
where two keys share their first 64 bits, both halves are sorted by.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ecompulse.kernels.segments import Flags, Places, changes, first_places

Half = npt.NDArray[np.uint64]

_NOBODY: Final = -1


@dataclass(frozen=True)
class KeyHashes:
    """Fingerprints, one per row.

    Attributes:
        hi: first 64 bits of each.
        lo: the other 64 bits.
    """

    hi: Half
    lo: Half

    @staticmethod
    def of(frame: pl.DataFrame, hi: str = "hi", lo: str = "lo") -> "KeyHashes":
        """Of two columns without nulls."""
        return KeyHashes(frame[hi].to_numpy(), frame[lo].to_numpy())

    @property
    def size(self) -> int:
        """How many."""
        return self.hi.size

    def __getitem__(self, places: Any) -> "KeyHashes":
        """Those at some places."""
        return KeyHashes(self.hi[places], self.lo[places])

    def then(self, other: "KeyHashes") -> "KeyHashes":
        """These and others behind them."""
        return KeyHashes(np.concatenate([self.hi, other.hi]), np.concatenate([self.lo, other.lo]))

    def order(self) -> Places:
        """Places in the order of (hi, lo); equal ones stay as they stand."""
        order = np.argsort(self.hi, kind="stable")
        hi, lo = self.hi[order], self.lo[order]
        same = hi[1:] == hi[:-1]
        if (lo[1:][same] != lo[:-1][same]).any():
            return np.lexsort((self.lo, self.hi))
        return order

    def firsts(self) -> Flags:
        """Of sorted ones, whether each differs from the one before it."""
        return changes(self.hi, self.lo)

    def numbered(self) -> tuple[Places, Places]:
        """Number of each among the distinct ones in order, and the first place of each of these."""
        order = self.order()
        first = self[order].firsts()
        found = np.empty(order.size, np.int64)
        found[order] = np.cumsum(first) - 1
        return found, order[first]

    def distinct(self) -> "KeyHashes":
        """Each once, sorted."""
        ordered = self[self.order()]
        return ordered[ordered.firsts()]

    def find(self, asked: "KeyHashes") -> tuple[Places, Places]:
        """Of sorted ones, the places of each of `asked` in its turn, and for each place which of `asked` it is of."""
        left = np.searchsorted(self.hi, asked.hi, side="left")
        there = np.flatnonzero(self.hi[np.minimum(left, self.size - 1)] == asked.hi) if self.size else left[:0]
        left = left[there]
        counts = np.searchsorted(self.hi, asked.hi[there], side="right") - left
        owner = np.repeat(there, counts)
        starts = np.cumsum(counts) - counts
        places = np.repeat(left - starts, counts) + np.arange(owner.size)
        same = self.lo[places] == asked.lo[owner]  # two keys may share the first 64 bits
        return (places, owner) if same.all() else (places[same], owner[same])


@dataclass(frozen=True)
class Layer:
    """Sorted rows that are not gathered yet.

    Attributes:
        key_hashes: of their keys, sorted.
        rows: number of each among all rows there are.
    """

    key_hashes: KeyHashes
    rows: Places

    def under(self, newer: "Layer") -> "Layer":
        """With a newer stretch over it: of a key that both know, only the newer rows."""
        both, rows = newer.key_hashes.then(self.key_hashes), np.concatenate([newer.rows, self.rows])
        order = both.order()  # of one key the newer stand first
        both, fresh = both[order], order < newer.rows.size
        leader = first_places(both.firsts())
        kept = fresh | ~fresh[leader]
        return Layer(both[kept], rows[order[kept]])


def owners(keys: KeyHashes, rows: KeyHashes) -> Places:
    """For each of `rows` its place among `keys` (sorted and distinct), -1 where there is none."""
    found = np.full(rows.size, _NOBODY, np.int64)
    places, owner = keys.find(rows)
    found[owner] = places
    return found
