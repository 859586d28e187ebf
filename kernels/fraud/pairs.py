"""Others that an entity was seen with: how many of late, and whether this one is new."""

from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.entity import Entity, Pair
from ecompulse.kernels.fraud.entity_timeline import EntityTimeline, Floats, Ints, sums
from ecompulse.kernels.fraud.memory import Block
from ecompulse.kernels.fraud.window_sums import Features, Past
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.segments import Flags, changes

COLUMNS: Final = ("pair", "other", "at")
"""Of an other: number of its pair among the entity's, 64-bit hash of its id, when it was last seen (ms)."""

WIDTH: Final = len(COLUMNS)
_PAIR, _OTHER, _AT = range(WIDTH)
_SPARSE: Final = 8  # of so many old ones that are not met again one is taken for such
_MIX: Final = np.int64(-7046029254386353131)  # odd, near 2**64 / the golden ratio: spreads codes over all bits


def other_features(past: Past, known: Block, entity: Entity) -> tuple[Features, Block]:
    """Features of each row by the name's end, and the others to keep.

    `distinct` counts others seen within the window, this one among them, `cap` at the most; `new` says that this one
    was not, and null that there are `cap` of them or more, of which some may have been forgotten.
    """
    found, kept = Features(), [Block(np.empty(0, np.int64), np.empty((0, WIDTH), np.int64))]
    for number, (name, pair) in enumerate(entity.pairs.items()):
        mine = known.rows[:, _PAIR] == number
        old = Block(known.codes[mine], known.rows[mine])
        features, after = _of_pair(past, old, pair, number, entity.cap)
        found |= {f"{what}_{name}": values for what, values in features.items()}
        kept.append(after)
    codes = np.concatenate([block.codes for block in kept])
    order = np.argsort(codes, kind="stable")
    return found, Block(codes[order], np.concatenate([block.rows for block in kept])[order])


def _of_pair(past: Past, known: Block, pair: Pair, number: int, cap: int) -> tuple[Features, Block]:
    column = past.frame[pair.column]
    there = column.is_not_null().to_numpy()
    fresh = np.empty((int(there.sum()), WIDTH), np.int64)
    fresh[:, _PAIR], fresh[:, _AT] = number, past.at[: past.rows][there]
    fresh[:, _OTHER] = fingerprint(column.filter(pl.Series(there)))["lo"].reinterpret(signed=True).to_numpy()
    codes = np.concatenate([known.codes, past.codes[: past.rows][there]])
    rows = np.concatenate([known.rows, fresh])
    begun, ended, last = _spells(codes, rows, known.codes.size, pair.window)

    line, at = EntityTimeline.of(codes, rows[:, _AT]), rows[:, _AT]
    size = known.codes.size
    here, low = line.place[size:], line.seek(codes[size:], at[size:] - pair.window + 1)
    starts, ends = sums(begun[line.order]), sums(ended[line.order])
    first = line.begins()[here]
    among = starts[here + 1] - starts[first] - (ends[np.minimum(low, here)] - ends[first])
    new = begun[size:]
    features = {"distinct": np.minimum(among, cap), "new": np.where(among >= cap, np.nan, new)}
    kept = line.order[last[line.order]]
    return {name: _spread(values, there) for name, values in features.items()}, _newest(codes[kept], rows[kept], cap)


def _spread(values: Floats | Ints, there: np.ndarray) -> Floats:
    found = np.full(there.size, np.nan)
    found[there] = values
    return found


def _spells(codes: Ints, rows: Ints, old: int, window: int) -> tuple[Ints, Ints, Flags]:
    """Of each row, whether a spell of being known begins with it, ends with it (1 or 0), and whether it is the last.

    The first `old` rows are others that were known, each once, so that most of them stand alone.
    """
    met = rows[:, _OTHER] ^ (codes * _MIX)
    mine = _perhaps_met(met, old)
    mine = mine[np.argsort(met[mine], kind="stable")]  # old ones stand before new ones, and these in their order
    first = changes(met[mine])
    at = rows[mine, _AT]
    gap = np.zeros(at.size, np.int64)
    gap[1:] = at[1:] - at[:-1]
    begins = first | (gap >= window)
    begun, ended, last = np.ones((3, met.size), np.int64)
    begun[mine], ended[mine], last[mine] = begins, np.roll(begins, -1), np.roll(first, -1)
    return begun, ended, last == 1


def _perhaps_met(met: Ints, old: int) -> Ints:
    """Places of all new ones, and of the old ones that may be among them, by their lowest bits."""
    mask = (_SPARSE << (met.size - old).bit_length()) - 1
    there = np.zeros(mask + 1, dtype=bool)
    there[met[old:] & mask] = True
    return np.flatnonzero(there[met & mask])


def _newest(codes: Ints, rows: Ints, cap: int) -> Block:
    """The newest `cap` rows of each entity; they are sorted by entity and time, and stay so."""
    many = np.flatnonzero(np.bincount(codes)[codes] > cap)
    if not many.size:
        return Block(codes, rows)
    # Of rows of the same time those of the smaller hash stay, whichever was here before.
    many = many[np.lexsort((~rows[many, _OTHER], rows[many, _AT], codes[many]))]
    ends = np.append(np.flatnonzero(changes(codes[many]))[1:], many.size)
    behind = np.repeat(ends, np.diff(ends, prepend=0)) - np.arange(many.size)
    kept = np.delete(np.arange(codes.size), many[behind > cap])
    return Block(codes[kept], rows[kept])
