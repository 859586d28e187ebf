"""Which windows a step must show: those that the watermark has closed, late revisions, and early values."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.calendar import by_calendar, from_axis, to_axis
from ecompulse.kernels.metrics.definition import DAY_MS
from ecompulse.kernels.metrics.plan import Spec
from ecompulse.kernels.metrics.ranges import Ints
from ecompulse.kernels.step import END_OF_TIME

NEVER: Final = -(2**62)

_DEF: Final = ("metric", "number")
_LISTED: Final = pl.Schema(
    {
        "owner": pl.Int64(), "sid": pl.Int64(), "metric": pl.Int64(), "number": pl.Int64(), "window_size": pl.String(),
        "size": pl.Int64(), "slide": pl.Int64(), "daily": pl.Boolean(), "index": pl.Int64(), "final": pl.Boolean(),
    }
)  # fmt: skip
_NEEDED: Final = ("size", "slide", "fill", "daily", "slice_ms", "closed", "good", "told")


def definitions(specs: Sequence[Spec], timezone: str) -> pl.DataFrame:
    """One row per metric and window: position of the metric, number of its window, and what they ask for."""
    rows = [
        (
            at, number, window.label, window.size, window.slide, spec.lag, spec.fill, spec.early,
            by_calendar(window, timezone), spec.slice_ms,
        )
        for at, spec in enumerate(specs)
        for number, window in enumerate(spec.windows)
    ]  # fmt: skip
    schema = {
        "metric": pl.Int64, "number": pl.Int64, "window_size": pl.String, "size": pl.Int64, "slide": pl.Int64,
        "lag": pl.Int64, "fill": pl.Int64, "early": pl.Boolean, "daily": pl.Boolean, "slice_ms": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


class Emission:
    """The windows of the slices of some series; a window is known by the index of its start, in slides.

    A series lives, in a window, if the window holds data or comes at most `fill` windows after one that does. Over the
    slices of a series, the windows that each adds to the life of the series are ranges one after the other; so
    those to be shown, and the next one that is due, are found at a few slices, however many a window has.

    Args:
        heads: series: `sid` (number, from 0), `metric`, `said` (null for a new series).
        defs: `definitions`.
        timezone: of windows of whole days.
        watermark: in force, ms.
        lateness: ms.
    """

    def __init__(self, heads: pl.DataFrame, defs: pl.DataFrame, timezone: str, watermark: int, lateness: int) -> None:
        """Compute which windows of each series have ended."""
        self._timezone = timezone
        self._size = int(heads["sid"].to_numpy().max(initial=-1)) + 1
        self._draining = watermark >= END_OF_TIME
        self._lateness = lateness
        self._watermark = watermark
        good = NEVER if self._draining else watermark - lateness
        ends = heads.join(defs, on="metric", how="inner")
        self._daily = bool(ends["daily"].any())
        ends = ends.with_columns(
            closed=self._closed(pl.lit(watermark, pl.Int64)), good=self._closed(pl.lit(good, pl.Int64))
        )
        told = pl.when(pl.col("said").is_not_null()).then(self._closed(pl.col("said")))
        self._ends = ends.with_columns(told=pl.coalesce(told, "good"))

    def _axis(self, moment: pl.Expr) -> pl.Expr:
        if not self._daily:
            return moment
        return pl.when("daily").then(to_axis(moment, self._timezone)).otherwise(moment)

    def _closed(self, moment: pl.Expr) -> pl.Expr:
        """Index of the last window that has ended, its lag included, at a moment."""
        return (self._axis(moment - pl.col("lag")) - pl.col("size")) // pl.col("slide")

    def _bounds(self, index: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
        """Start and end (UTC ms) of windows by index."""
        start = index * pl.col("slide")
        end = start + pl.col("size")
        if not self._daily:
            return start, end
        days = (from_axis(pl.when("daily").then(bound).otherwise(0), self._timezone) for bound in (start, end))
        one, other = (
            pl.when("daily").then(day).otherwise(bound) for day, bound in zip(days, (start, end), strict=True)
        )
        return one, other

    def _first(self) -> pl.Expr:
        """Index of the first window that holds a slice."""
        length = pl.when("daily").then(DAY_MS).otherwise("slice_ms") if self._daily else pl.col("slice_ms")
        return -((pl.col("size") - self._axis(pl.col("slice")) - length) // pl.col("slide"))

    def _last(self) -> pl.Expr:
        """Index of the last window that holds a slice."""
        return self._axis(pl.col("slice")) // pl.col("slide")

    def too_late(self, slices: pl.DataFrame) -> pl.DataFrame:
        """Those of some slices (`sid`, `slice`) of which every window is closed for good."""
        if slices.is_empty():
            return slices.select("sid", "slice")
        spans = slices.join(self._ends, on="sid").with_columns(kept=self._last() > pl.col("good"))
        told = spans.group_by("sid", "slice").agg(pl.col("kept").any())
        return told.filter(~pl.col("kept")).select("sid", "slice")

    def say(self, marks: pl.DataFrame) -> "Emitted":
        """What slices with data (`sid`, `slice`, `fresh`: it has rows of this step; sorted) give to show and keep."""
        ends = self._ends.sort("number", "sid")
        # Spans are of an owner: a series and one window of its metric, in the order of `ends`.
        mark, owner = self._pairs(marks["sid"].to_numpy(), ends)
        spans = pl.concat(
            [marks[mark], ends.select(_NEEDED)[owner], pl.DataFrame({"owner": owner})], how="horizontal"
        )  # fmt: skip
        starts, stops = (pl.col("owner").shift(n) != pl.col("owner") for n in (1, -1))
        spans = spans.with_columns(
            lo=self._first(), hi=self._last(), first=starts.fill_null(value=True), last=stops.fill_null(value=True)
        ).with_columns(until=pl.col("hi") + pl.col("fill"))
        spans = spans.with_columns(
            before=pl.when(~pl.col("first")).then(pl.col("until").shift(1)),
            following=pl.when(~pl.col("last")).then(pl.col("lo").shift(-1)),
        )
        needed = pl.max_horizontal("hi", pl.min_horizontal("until", pl.col("following") - 1)) > pl.col("good")
        keep = np.zeros(marks.height, dtype=bool)
        keep[mark[spans.select(needed).to_series().to_numpy()]] = True
        heads = self._kept(self._heads(spans, ends))
        return Emitted(self._windows(spans, ends), heads, pl.Series("keep", keep))

    def _pairs(self, sid: Ints, ends: pl.DataFrame) -> tuple[Ints, Ints]:
        """Each mark with each window of its metric, by number: rows of the marks, and of `ends`."""
        numbers = ends["number"].to_numpy()
        place = np.full((int(numbers.max(initial=-1)) + 1, self._size), -1)
        place[numbers, ends["sid"].to_numpy()] = np.arange(ends.height)
        at = place[:, sid]
        _, mark = np.nonzero(at >= 0)
        return mark, at[at >= 0]

    def _kept(self, heads: pl.DataFrame) -> pl.DataFrame:
        """Series that some window of theirs still needs; `heads` has them once per window."""
        forever = pl.col("due").is_not_null().any()
        kept = heads.group_by("sid").agg(
            pl.col("said").max(),
            pl.col("due").min(),
            expires=pl.when(forever).then(-NEVER).otherwise(pl.col("expires").max()),
        )
        return kept.filter(pl.col("expires") > (NEVER if self._draining else self._watermark))

    @staticmethod
    def _adding(told: str, closed: str) -> pl.Expr:
        """Slices that add windows to the life of their series behind `told` and up to `closed`."""
        earlier = pl.col("before").is_null() | (pl.col("before") < pl.col(closed))
        return (pl.col("until") > pl.col(told)) & earlier

    def _windows(self, spans: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
        """`sid`, `metric`, `number`, `window`, `start`, `end` (ms) and `final`, by number, sid and start."""
        adding = _whole(spans.filter(self._adding("told", "closed")), ends)
        first = pl.max_horizontal("lo", pl.col("before") + 1, pl.col("told") + 1)
        newly = self._listed(adding, first, pl.min_horizontal("until", "closed"), final=True)
        fresh = _whole(spans.filter("fresh"), ends)
        again = self._listed(
            fresh, pl.max_horizontal("lo", pl.col("good") + 1), pl.min_horizontal("until", "told", "closed"), final=True
        )
        opening = pl.max_horizontal("lo", pl.col("closed") + 1)
        last = pl.when(opening <= pl.col("hi")).then(opening).otherwise(opening - 1)
        early = self._listed(fresh.filter("early"), opening, last, final=False)
        found = pl.concat([newly, again, early]).unique(["owner", "index"], keep="first", maintain_order=True)
        start, end = self._bounds(pl.col("index"))
        found = found.with_columns(start=start, end=end).sort("owner", "index")
        if self._daily:  # no window begins with a day that a zone skipped: the next one begins at the same moment
            found = found.filter(~pl.col("daily") | (self._bounds(pl.col("index") + 1)[0] != pl.col("start")))
        return found.select("sid", *_DEF, "window_size", "start", "end", "final")

    @staticmethod
    def _listed(spans: pl.DataFrame, first: pl.Expr, last: pl.Expr, *, final: bool) -> pl.DataFrame:
        """One row per window from the first index to the last."""
        some = spans.with_columns(first=first, last=last).filter(pl.col("first") <= pl.col("last"))
        if some.is_empty():
            return pl.DataFrame(schema=_LISTED)
        listed = some.with_columns(index=pl.int_ranges("first", pl.col("last") + 1), final=pl.lit(final))
        return listed.select(_LISTED.names()).explode("index")

    def _heads(self, spans: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
        """Per series and window `said`, `due` (end of the next window, null for none), `expires` (of its last window).

        After a drain the windows that end after the series' last slice count as not yet said: they are open again
        when the input goes on, and are then shown once more.
        """
        last = _whole(spans.filter("last"), ends)
        said = pl.max_horizontal("slice", "said") if self._draining else pl.lit(self._watermark, pl.Int64)
        last = last.with_columns(said=said)
        if self._draining:
            last = last.with_columns(closed=self._closed(pl.col("said")))
            spans = spans.drop("closed").join(last.select("owner", "closed"), on="owner", maintain_order="left")
        _, end = self._bounds(pl.col("until"))
        heads = last.select("owner", "sid", "said", expires=end + pl.col("lag") + self._lateness)
        earlier = pl.col("before").is_null() | (pl.col("before") <= pl.col("closed"))
        next_ = _whole(spans.filter(pl.col("until") > pl.col("closed"), earlier), ends)
        _, end = self._bounds(pl.max_horizontal("lo", pl.col("closed") + 1))
        due = next_.select("owner", due=end + pl.col("lag"))
        return heads.join(due, on="owner", how="left").select("sid", "said", "due", "expires")


def _whole(spans: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """Spans with all that is known of their windows."""
    rest = [name for name in ends.columns if name not in spans.columns]
    return spans.hstack(ends.select(rest)[spans["owner"]])


class Emitted(NamedTuple):
    """What a step shows and keeps.

    Attributes:
        windows: to show: `sid`, `metric`, `number`, `window`, `start`, `end` (ms), `final`; by number, sid, start.
        heads: series to keep: `sid`, `said`, `due`, `expires`.
        keep: which of the slices are still needed.
    """

    windows: pl.DataFrame
    heads: pl.DataFrame
    keep: pl.Series
