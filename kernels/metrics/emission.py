"""Which windows a step must show: those that the watermark has closed, late revisions, and early values.

All of it is arithmetic on whole numbers, and most steps have few series: so columns here are NumPy's, of which a
hundred small operations cost less than five of a query engine.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.calendar import from_axis, to_axis
from ecompulse.kernels.metrics.definition import DAY_MS
from ecompulse.kernels.metrics.ranges import Ints
from ecompulse.kernels.metrics.window_columns import WindowColumns
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.segments import Flags, changes
from ecompulse.kernels.step import END_OF_TIME

NEVER: Final = -(2**62)
_FOREVER: Final = -NEVER
_HEADS: Final = {"sid": pl.Int64, "said": pl.Int64, "due": pl.Int64, "expires": pl.Int64}


class Emission:
    """The windows of the slices of some series; a window is known by the index of its start, in slides.

    A series lives, in a window, if the window holds data or comes at most `fill` windows after one that does. Over the
    slices of a series, the windows that each adds to the life of the series are ranges one after the other; so
    those to be shown, and the next one that is due, are found at a few slices, however many a window has.

    An *owner* is a series and one window of its metric. A *span* is an owner and one slice of its series. Both are in
    the order of the window's number, the series, and the slice.

    Args:
        heads: series: `sid` (number, from 0), `metric`, `said` (null for a new series).
        defs: the windows of all metrics.
        timezone: of windows of whole days.
        watermark: in force, ms.
        lateness: ms.
    """

    def __init__(self, heads: pl.DataFrame, defs: WindowColumns, timezone: str, watermark: int, lateness: int) -> None:
        """Compute which windows of each series have ended."""
        self._defs = defs
        self._timezone = timezone
        self._draining = watermark >= END_OF_TIME
        self._lateness = lateness
        self._watermark = watermark
        heads = heads.sort("sid")
        sid, metric = heads["sid"].to_numpy(), heads["metric"].to_numpy()
        places = defs.by_metric[:, metric]
        _, series = np.nonzero(places >= 0)
        self._sid, self._window = sid[series], places[places >= 0]
        self._place = np.full((len(places), int(sid.max(initial=-1)) + 1), -1)  # of each owner, by number and series
        self._place[defs.number[self._window], self._sid] = np.arange(self._sid.size)
        self._said = heads["said"].fill_null(NEVER).to_numpy()[series]
        good = NEVER if self._draining else watermark - lateness
        everywhere = np.ones_like(self._sid)
        self._end = self._closed(watermark * everywhere, self._window)
        self._good = self._closed(good * everywhere, self._window)
        self._told = np.where(self._said > NEVER, self._closed(self._said, self._window), self._good)

    def _axis(self, moment: Ints, window: Ints) -> Ints:
        daily = self._defs.daily[window]
        if not daily.any():
            return moment
        days = pl.select(to_axis(pl.lit(pl.Series(moment[daily])), self._timezone)).to_series()
        return _placed(moment, daily, days)

    def _closed(self, moment: Ints, window: Ints) -> Ints:
        """Index of the last window that has ended, its lag included, at a moment."""
        defs = self._defs
        return (self._axis(moment - defs.lag[window], window) - defs.size[window]) // defs.slide[window]

    def _bounds(self, index: Ints, window: Ints) -> tuple[Ints, Ints]:
        """Start and end (UTC ms) of windows by index."""
        start = index * self._defs.slide[window]
        end = start + self._defs.size[window]
        daily = self._defs.daily[window]
        if not daily.any():
            return start, end
        moments = [pl.select(from_axis(pl.lit(pl.Series(bound[daily])), self._timezone)) for bound in (start, end)]
        return _placed(start, daily, moments[0].to_series()), _placed(end, daily, moments[1].to_series())

    def _first(self, slices: Ints, window: Ints) -> Ints:
        """Index of the first window that holds a slice."""
        defs = self._defs
        length = np.where(defs.daily[window], DAY_MS, defs.slice_ms[window])
        return -((defs.size[window] - self._axis(slices, window) - length) // defs.slide[window])

    def _last(self, slices: Ints, window: Ints) -> Ints:
        """Index of the last window that holds a slice."""
        return self._axis(slices, window) // self._defs.slide[window]

    def too_late(self, sid: Ints, slices: Ints) -> Flags:
        """Which of some slices have no window that is still revised."""
        taken = np.zeros(sid.size, dtype=bool)
        for place in self._place:
            owner = place[sid]
            there = owner >= 0
            owner = owner[there]
            taken[there] |= self._last(slices[there], self._window[owner]) > self._good[owner]
        return ~taken

    def say(self, marks: pl.DataFrame) -> "Emitted":
        """What slices with data (`sid`, `slice`, `fresh`: it has rows of this step; sorted) give to show and keep."""
        at = self._place[:, marks["sid"].to_numpy()]
        _, mark = np.nonzero(at >= 0)
        spans = self._spans(at[at >= 0], marks["slice"].to_numpy()[mark], marks["fresh"].to_numpy()[mark])
        following = np.where(spans.last, _FOREVER, np.roll(spans.lo, -1))
        needed = np.maximum(spans.hi, np.minimum(spans.until, following - 1)) > self._good[spans.owner]
        keep = np.zeros(marks.height, dtype=bool)
        keep[mark[needed]] = True
        return Emitted(self._windows(spans), self._heads(spans), pl.Series("keep", keep))

    def _spans(self, owner: Ints, slices: Ints, fresh: Flags) -> "_Spans":
        window = self._window[owner]
        first = changes(owner)
        last = np.roll(first, -1)
        hi = self._last(slices, window)
        until = hi + self._defs.fill[window]
        before = np.where(first, NEVER, np.roll(until, 1))
        return _Spans(owner, slices, fresh, first, last, self._first(slices, window), hi, until, before)

    def _windows(self, spans: "_Spans") -> pl.DataFrame:
        """`sid`, `metric`, `number`, `window_size`, `start`, `end` (ms) and `final`, by number, sid and start."""
        told, closed, good = (each[spans.owner] for each in (self._told, self._end, self._good))
        earlier = spans.first | (spans.before < closed)
        adding = (spans.until > told) & earlier
        newly = _listed(
            spans.owner[adding],
            np.maximum(np.maximum(spans.lo, spans.before + 1), told + 1)[adding],
            np.minimum(spans.until, closed)[adding],
        )
        again = _listed(
            spans.owner[spans.fresh],
            np.maximum(spans.lo, good + 1)[spans.fresh],
            np.minimum(np.minimum(spans.until, told), closed)[spans.fresh],
        )
        opening = np.maximum(spans.lo, closed + 1)
        shown = spans.fresh & self._defs.early[self._window[spans.owner]] & (opening <= spans.hi)
        early = spans.owner[shown], opening[shown]
        owner, index = (np.concatenate(parts) for parts in zip(newly, again, early, strict=True))
        final = np.arange(owner.size) < newly[0].size + again[0].size
        order = np.lexsort((index, owner))  # stable: of one window what comes first above
        owner, index, final = owner[order], index[order], final[order]
        distinct = changes(owner, index)
        return self._described(owner[distinct], index[distinct], final[distinct])

    def _described(self, owner: Ints, index: Ints, final: Flags) -> pl.DataFrame:
        """Windows by owner and index as a frame."""
        window = self._window[owner]
        start, end = self._bounds(index, window)
        daily = self._defs.daily[window]
        if daily.any():  # no window begins with a day that a zone skipped: the next one begins at the same moment
            real = ~daily | (self._bounds(index + 1, window)[0] != start)
            owner, window, start, end, final = (each[real] for each in (owner, window, start, end, final))
        numbers = {"sid": self._sid[owner], "metric": self._defs.metric[window], "number": self._defs.number[window]}
        label = self._defs.label.gather(window)
        return pl.DataFrame({**numbers, "window_size": label, "start": start, "end": end, "final": final})

    def _heads(self, spans: "_Spans") -> pl.DataFrame:
        """Per series `said`, `due` (end of the next window, null for none), `expires` (of its last window).

        After a drain the windows that end after the series' last slice count as not yet said: they are open again
        when the input goes on, and are then shown once more.
        """
        owner = spans.owner[spans.last]
        window = self._window[owner]
        closed, said = self._end.copy(), np.full(owner.size, self._watermark)
        if self._draining:
            said = np.maximum(spans.slices[spans.last], self._said[owner])
            closed[owner] = self._closed(said, window)
        expires = self._bounds(spans.until[spans.last], window)[1] + self._defs.lag[window] + self._lateness
        behind = closed[spans.owner]
        next_ = (spans.until > behind) & (spans.first | (spans.before <= behind))
        coming, upcoming = spans.owner[next_], self._window[spans.owner[next_]]
        end = self._bounds(np.maximum(spans.lo, behind + 1)[next_], upcoming)[1]
        due = np.full(self._sid.size, _FOREVER)
        due[coming] = end + self._defs.lag[upcoming]
        return self._kept(self._sid[owner], said, due[owner], expires)

    def _kept(self, sid: Ints, said: Ints, due: Ints, expires: Ints) -> pl.DataFrame:
        """Series that some window of theirs still needs; they come once per window."""
        order = np.argsort(sid, kind="stable")
        sid, said, due, expires = sid[order], said[order], due[order], expires[order]
        starts = np.flatnonzero(changes(sid))
        if not starts.size:
            return no_rows(_HEADS)
        said, due = np.maximum.reduceat(said, starts), np.minimum.reduceat(due, starts)
        expires = np.where(due < _FOREVER, _FOREVER, np.maximum.reduceat(expires, starts))
        kept = expires > (NEVER if self._draining else self._watermark)
        columns = [
            pl.Series(name, column[kept])
            for name, column in zip(_HEADS, (sid[starts], said, due, expires), strict=True)
        ]
        return pl.DataFrame(columns).with_columns(due=pl.when(pl.col("due") < _FOREVER).then("due"))


class _Spans(NamedTuple):
    """An owner with one slice of its series each.

    Attributes:
        owner: its place.
        slices: start of the slice, ms.
        fresh: whether the slice has rows of this step.
        first: whether no slice of the owner comes before.
        last: whether none follows.
        lo: index of the first window that holds the slice.
        hi: index of the last one.
        until: index of the last window that it lets live.
        before: `until` of the slice before.
    """

    owner: Ints
    slices: Ints
    fresh: Flags
    first: Flags
    last: Flags
    lo: Ints
    hi: Ints
    until: Ints
    before: Ints


def _placed(values: Ints, chosen: Flags, others: pl.Series) -> Ints:
    """The values with other ones in some places."""
    placed = values.copy()
    placed[chosen] = others.to_numpy()
    return placed


def _listed(owner: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """One owner and index per window from the first index to the last, which may lie before it."""
    counts = np.maximum(last - first + 1, 0)
    begins = np.cumsum(counts) - counts
    return np.repeat(owner, counts), np.arange(int(counts.sum())) + np.repeat(first - begins, counts)


class Emitted(NamedTuple):
    """What a step shows and keeps.

    Attributes:
        windows: to show: `sid`, `metric`, `number`, `window_size`, `start`, `end` (ms), `final`; by number, sid, start.
        heads: series to keep: `sid`, `said`, `due`, `expires`.
        keep: which of the slices are still needed.
    """

    windows: pl.DataFrame
    heads: pl.DataFrame
    keep: pl.Series
