"""Which windows a step must show: those that the watermark has closed, late revisions, and early values."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.kernels.metrics.calendar import by_calendar, from_axis, to_axis
from ecompulse.kernels.metrics.definition import DAY_MS
from ecompulse.kernels.metrics.plan import Spec
from ecompulse.kernels.step import END_OF_TIME

NEVER: Final = -(2**62)

_DEF: Final = ("metric", "number")


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
        "metric": pl.Int64, "number": pl.Int64, "window": pl.String, "size": pl.Int64, "slide": pl.Int64,
        "lag": pl.Int64, "fill": pl.Int64, "early": pl.Boolean, "daily": pl.Boolean, "slice_ms": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


class Saying:
    """The windows of the slices of some series; a window is known by the index of its start, in slides.

    A series lives, in a window, if the window holds data or comes at most `fill` windows after one that does.

    Args:
        marks: slices that have data: `sid` (dense number of the series), `metric`, `slice`, `fresh` (has rows of
            this step), `said` (null for a new series); sorted by sid and slice.
        defs: `definitions`.
        timezone: of windows of whole days.
        watermark: in force, ms.
        lateness: ms.
    """

    def __init__(self, marks: pl.DataFrame, defs: pl.DataFrame, timezone: str, watermark: int, lateness: int) -> None:
        """Compute the windows of each slice."""
        self._timezone = timezone
        self._draining = watermark >= END_OF_TIME
        good = NEVER if self._draining else watermark - lateness
        self._lateness = lateness
        self._watermark = watermark
        self.expired = NEVER if self._draining else watermark  # ms; slices that expire by then are not kept
        spans = marks.join(defs, on="metric", how="inner", maintain_order="left")
        self._daily = bool(spans["daily"].any())
        position, length = self._axis(pl.col("slice")), pl.when("daily").then(DAY_MS).otherwise("slice_ms")
        spans = spans.with_columns(
            lo=-((pl.col("size") - position - length) // pl.col("slide")),
            hi=position // pl.col("slide"),
            closed=self._closed(pl.lit(watermark, pl.Int64)),
            good=self._closed(pl.lit(good, pl.Int64)),
        )
        told = pl.coalesce(pl.when(pl.col("said").is_not_null()).then(self._closed(pl.col("said"))), "good")
        kept = pl.col("hi") > pl.col("good")
        self.spans = spans.with_columns(told=told, kept=kept).sort(*_DEF, "sid", "slice")

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

    def too_late(self) -> pl.DataFrame:
        """Fresh slices (`sid`, `slice`) of which every window is closed for good."""
        told = self.spans.group_by("sid", "slice").agg(pl.col("kept").any(), pl.col("fresh").first())
        return told.filter("fresh", ~pl.col("kept")).select("sid", "slice")

    def windows(self) -> pl.DataFrame:
        """`sid`, `metric`, `number`, `window`, `start`, `end` (ms) and `final`, by number, sid and start."""
        before = (pl.col("hi") + pl.col("fill")).shift(1).over(*_DEF, "sid")
        until = pl.col("hi") + pl.col("fill")
        first = pl.max_horizontal("lo", before + 1, pl.col("told") + 1)
        newly = self._listed(self.spans, first, pl.min_horizontal(until, "closed"), final=True)
        fresh = self.spans.filter(pl.col("fresh"))
        again = self._listed(
            fresh, pl.max_horizontal("lo", pl.col("good") + 1), pl.min_horizontal(until, "told", "closed"), final=True
        )
        opening = pl.max_horizontal("lo", pl.col("closed") + 1)
        last = pl.when(opening <= pl.col("hi")).then(opening).otherwise(opening - 1)
        early = self._listed(fresh.filter(pl.col("early")), opening, last, final=False)
        found = pl.concat([newly, again, early]).unique([*_DEF, "sid", "index"], keep="first", maintain_order=True)
        start, end = self._bounds(pl.col("index"))
        found = found.with_columns(start=start, end=end).sort("number", "sid", "index")
        return found.select("sid", *_DEF, "window", "start", "end", "final")

    @staticmethod
    def _listed(spans: pl.DataFrame, first: pl.Expr, last: pl.Expr, *, final: bool) -> pl.DataFrame:
        """One row per window from the first index to the last."""
        some = spans.with_columns(first=first, last=last).filter(pl.col("first") <= pl.col("last"))
        listed = some.with_columns(index=pl.int_ranges("first", pl.col("last") + 1), final=pl.lit(final))
        columns = ("sid", *_DEF, "window", "size", "slide", "daily", "index", "final")
        return listed.select(columns).explode("index")

    def upkeep(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What state must know: per series (`sid`, `said`, `due`), and per slice (`sid`, `slice`, `expires`).

        After a drain the windows that end after the series' last slice count as not yet said: they are open again
        when the input goes on, and are then shown once more.
        """
        spans = self.spans
        following = pl.col("lo").shift(-1).over(*_DEF, "sid")
        filled = pl.col("hi") + pl.col("fill")
        until = pl.max_horizontal("hi", pl.min_horizontal(filled, following - 1))
        _, end = self._bounds(until)
        needless = end + pl.col("lag") + self._lateness
        # A slice that a window still to be shown may need must outlive any leap of the watermark.
        slices = spans.with_columns(_expires=pl.when(until > pl.col("closed")).then(-NEVER).otherwise(needless))
        slices = slices.group_by("sid", "slice").agg(expires=pl.col("_expires").max())
        if self._draining:
            reached = pl.max_horizontal(pl.col("slice").max().over("sid"), pl.col("said"))
            spans = spans.with_columns(reached=reached).with_columns(closed=self._closed(pl.col("reached")))
        else:
            spans = spans.with_columns(reached=pl.lit(self._watermark, pl.Int64))
        _, end = self._bounds(pl.max_horizontal("lo", pl.col("closed") + 1))
        open_ = pl.col("hi") + pl.col("fill") > pl.col("closed")
        spans = spans.with_columns(_due=pl.when(open_).then(end + pl.col("lag")))
        return spans.group_by("sid").agg(said=pl.col("reached").max(), due=pl.col("_due").min()), slices
