"""How surprising a distance is: minus the decimal logarithm of the share of past ones that were as great.

The rank among past values is the p-value of conformal anomaly detection (Laxhammar and Falkman, Conformal prediction
for distribution-independent anomaly detection in streaming vehicle data, 2010; used on NAB by Burnaev and Ishimtsev,
arXiv:1608.04585): it needs no assumption about the distribution, and no parameter per series. Ranks come from a
histogram with bins of equal relative width, the same for every series: bounded memory, exact counts, any order.
"""

from typing import Final

import numpy as np

from ecompulse.kernels.anomalies.memory import BINS, PARTS, Counts, Floats, Ints

_SMALLEST: Final = 20  # octaves below 1
_TAIL: Final = 4  # decimal orders of surprise for each order beyond all that was seen
_DIGITS: Final = 9  # so that the last bit of a logarithm, which may differ between machines, decides nothing
_EDGES: Final = np.arange(BINS)


def bins_of(distance: Floats) -> Ints:
    """Bin of each distance (0 or more); those below 2^-20 share the first, those from 2^44 the last."""
    mantissa, exponent = np.frexp(distance)
    place = (exponent + _SMALLEST) * PARTS + ((mantissa - 0.5) * 2 * PARTS).astype(np.int64)
    return np.where(distance > 0, np.clip(place, 0, BINS - 1), 0).astype(np.int64)


def greater(seen: Counts, greatest: Floats, distance: Floats) -> Floats:
    """Surprise at distances as great as these; beyond the greatest so far it grows with the ratio to that."""
    at, total = bins_of(distance), seen.sum(axis=1, dtype=np.int64)
    above = np.where(at[:, None] <= _EDGES, seen, 0).sum(axis=1, dtype=np.int64)
    record = (greatest > 0) & (distance > greatest)
    above[record] = 0
    ratio = np.where(record, distance / np.where(record, greatest, 1.0), 1.0)
    found: Floats = np.log10((total + 1) / (above + 1)) + _TAIL * np.log10(ratio)
    rounded: Floats = np.round(found, _DIGITS)
    return np.where(distance > 0, rounded, 0.0)


def smaller(seen: Counts, distance: Floats) -> Floats:
    """Surprise at distances as small as these."""
    at, total = bins_of(distance), seen.sum(axis=1, dtype=np.int64)
    below = np.where(at[:, None] >= _EDGES, seen, 0).sum(axis=1, dtype=np.int64)
    rounded: Floats = np.round(np.log10((total + 1) / (below + 1)), _DIGITS)
    return rounded


def reach(seen: Counts, share: float) -> Floats:
    """The distance that no more than this share of the past ones exceeded: the upper edge of its bin; 0 for none."""
    above = np.cumsum(seen[:, ::-1], axis=1, dtype=np.int64)[:, ::-1]  # in this bin or a higher one
    within = above > share * above[:, :1]
    at = np.where(within.any(axis=1), BINS - 1 - np.argmax(within[:, ::-1], axis=1), -1)
    octave, part = np.divmod(at + 1, PARTS)
    edge = np.ldexp(0.5 + part / (2 * PARTS), octave - _SMALLEST)
    return np.where(at > 0, edge, 0.0)
