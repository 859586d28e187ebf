"""The windows of all metrics as columns of numbers, for what is computed of many at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ecompulse.kernels.metrics.calendar import by_calendar
from ecompulse.kernels.metrics.plan import Spec
from ecompulse.kernels.metrics.ranges import Ints
from ecompulse.kernels.segments import Flags


@dataclass(frozen=True)
class WindowColumns:
    """The windows of all metrics, each once, as columns.

    Attributes:
        metric: position of the metric.
        number: of the window in its metric.
        label: of the window.
        size: ms, as are `slide`, `lag` and `slice_ms`.
        slide: between two windows.
        lag: for which a window waits after its end.
        fill: windows without data that are shown.
        early: whether open windows are shown.
        daily: whether it goes by local days.
        slice_ms: length of a slice.
    """

    metric: Ints
    number: Ints
    label: pl.Series
    size: Ints
    slide: Ints
    lag: Ints
    fill: Ints
    early: Flags
    daily: Flags
    slice_ms: Ints

    @property
    def by_metric(self) -> Ints:
        """Place of each window by number and metric; -1 where a metric has no such window."""
        places = np.full((int(self.number.max(initial=-1)) + 1, int(self.metric.max(initial=-1)) + 1), -1)
        places[self.number, self.metric] = np.arange(self.metric.size)
        return places

    @staticmethod
    def of(specs: Sequence[Spec], timezone: str) -> "WindowColumns":
        """Those of some metrics."""
        rows = [
            (
                at, number, window.size, window.slide, spec.lag, spec.fill, spec.slice_ms, spec.early,
                by_calendar(window, timezone),
            )
            for at, spec in enumerate(specs)
            for number, window in enumerate(spec.windows)
        ]  # fmt: skip
        table = np.array(rows, dtype=np.int64).reshape(-1, 9)
        metric, number, size, slide, lag, fill, slice_ms = table.T[:7]
        early, daily = table.T[7:].astype(bool)
        label = pl.Series([window.label for spec in specs for window in spec.windows], dtype=pl.String)
        return WindowColumns(metric, number, label, size, slide, lag, fill, early, daily, slice_ms)
