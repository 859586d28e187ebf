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


def bins_of(distance: Floats) -> Ints:
    """Bin of each distance (0 or more); those below 2^-20 share the first, those from 2^44 the last."""
    mantissa, exponent = np.frexp(distance)
    place = (exponent + _SMALLEST) * PARTS + ((mantissa - 0.5) * 2 * PARTS).astype(np.int64)
    found: Ints = np.where(distance > 0, np.minimum(np.maximum(place, 0), BINS - 1), 0)
    return found


def through(seen: Counts) -> Counts:
    """How many distances were in each bin or a lower one: what ranks are read from."""
    return np.cumsum(seen, axis=-1, dtype=np.uint32)


def greater(counts: Counts, greatest: Floats, distance: Floats, at: Ints) -> Floats:
    """Surprise at distances as great as these; beyond the greatest so far it grows with the ratio to that.

    Args:
        counts: what `through` tells of each; one dimension more than the others have.
        greatest: of each so far.
        distance: of each.
        at: their bins.
    """
    total = _at(counts, BINS - 1)
    above = total - np.where(at > 0, _at(counts, np.maximum(at - 1, 0)), 0)
    record = (greatest > 0) & (distance > greatest)
    above[record] = 0
    ratio = np.where(record, distance / np.where(record, greatest, 1.0), 1.0)
    found: Floats = np.log10((total + 1) / (above + 1)) + _TAIL * np.log10(ratio)
    rounded: Floats = np.round(found, _DIGITS)
    return np.where(distance > 0, rounded, 0.0)


def smaller(counts: Counts, at: Ints) -> Floats:
    """Surprise at distances as small as those in the bins `at`."""
    found: Floats = np.log10((_at(counts, BINS - 1) + 1) / (_at(counts, at) + 1))
    rounded: Floats = np.round(found, _DIGITS)
    return rounded


def reach(counts: Counts, share: float) -> Floats:
    """The distance that no more than this share of the past ones exceeded: the upper edge of its bin; 0 for none."""
    total = _at(counts, BINS - 1)
    enough = (total - np.floor(share * total)).astype(
        np.uint32
    )  # with these in lower bins no more than the share is left
    bins = np.count_nonzero(counts[..., :-1] < enough[..., None], axis=-1) + (total > 0)
    octave, part = np.divmod(bins, PARTS)
    edge = np.ldexp(0.5 + part / (2 * PARTS), octave - _SMALLEST)
    return np.where(bins > 1, edge, 0.0)


def _at(counts: Counts, bins: Ints | int) -> Ints:
    """Counts of one bin each, as numbers that may be subtracted."""
    chosen = (
        counts[..., bins] if isinstance(bins, int) else np.take_along_axis(counts, bins[..., None], axis=-1)[..., 0]
    )
    return chosen.astype(np.int64)
