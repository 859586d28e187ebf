"""Windows as ranges of sorted rows, and what sums and extremes over many ranges cost: one pass for all."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

_SPAN_LIMIT: Final = 2**62


class Ranges(NamedTuple):
    """Rows `start` to `stop` (not included) of a sorted frame, per window."""

    start: Ints
    stop: Ints


class SliceIndex(NamedTuple):
    """Rows sorted by owner and time, as one increasing number each."""

    keys: Ints
    origin: int
    span: int

    @staticmethod
    def of(owner: Ints, time: Ints) -> "SliceIndex":
        """The line of rows: `owner` is a dense number from 0, `time` is in ms; increasing if the rows are sorted."""
        if len(time) == 0:
            return SliceIndex(np.empty(0, np.int64), 0, 1)
        origin, span = int(time.min()), int(time.max() - time.min()) + 2
        owners = int(owner.max()) + 1
        if span * owners >= _SPAN_LIMIT:
            raise OverflowError(f"{owners} series over {span} ms are too many for one step; use more shards")
        return SliceIndex(owner * span + (time - origin), origin, span)

    @staticmethod
    def windows(rows: pl.DataFrame, windows: pl.DataFrame) -> Ranges:
        """Rows (`sid`, `slice`, sorted by these) of each window (`sid`, `start`, `end`)."""
        line = SliceIndex.of(rows["sid"].to_numpy(), rows["slice"].to_numpy())
        return line.ranges(windows["sid"].to_numpy(), windows["start"].to_numpy(), windows["end"].to_numpy())

    def ranges(self, owner: Ints, start: Ints, stop: Ints) -> Ranges:
        """Rows of each owner with start <= time < stop."""
        low, high = (np.clip(bound - self.origin, 0, self.span - 1) for bound in (start, stop))
        base = owner * self.span
        return Ranges(
            np.searchsorted(self.keys, base + low).astype(np.int64),
            np.searchsorted(self.keys, base + high).astype(np.int64),
        )


def flat_rows(ranges: Ranges) -> tuple[Ints, Ints]:
    """All rows of the ranges, one after the other, and where each range begins in them; no range may be empty."""
    lengths = ranges.stop - ranges.start
    begins = np.r_[0, np.cumsum(lengths)[:-1]].astype(np.int64)
    rows = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(ranges.start - begins, lengths)
    return rows, begins


def sums(values: pl.Series, ranges: Ranges) -> pl.Series:
    """Sum per range, exact (Int128); nulls are 0. Prefix sums: a range costs two look-ups, however long it is."""
    addends = values.fill_null(0) if values.null_count() else values
    prefix = pl.concat([pl.Series(values.name, [0], dtype=pl.Int128), addends.cast(pl.Int128).cum_sum()])
    return prefix[ranges.stop] - prefix[ranges.start]


def extremes(values: pl.Series, ranges: Ranges, *, greatest: bool) -> pl.Series:
    """Least or greatest per range (Int64), null for none.

    A table of the extremes of all runs of 2^n rows answers any range by two of them.
    """
    worst = np.iinfo(np.int64).min if greatest else np.iinfo(np.int64).max
    pick = np.maximum if greatest else np.minimum
    level = np.asarray(values.fill_null(worst).to_numpy(), dtype=np.int64)
    lengths = ranges.stop - ranges.start
    found = np.full(len(lengths), worst, dtype=np.int64)
    size = 1
    while (chosen := (lengths >= size) & (lengths < 2 * size)).any() or (lengths >= 2 * size).any():
        found[chosen] = pick(level[ranges.start[chosen]], level[ranges.stop[chosen] - size])
        if len(level) <= size:
            break
        level = pick(level[:-size], level[size:])
        size *= 2
    return pl.Series(values.name, found).replace(worst, None)
