"""`TotalPerWindow`: rows counted, and columns added up, per window and key."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.keyed import Keyed, require_bounded
from ecompulse.epochs.sinks import TableSpec
from ecompulse.kernels.event import TIME
from ecompulse.kernels.window_totals import TotalRows
from ecompulse.transforms.frames import map_frames


class TotalPerWindow(beam.PTransform):
    """Counts rows, and adds up columns of integers or booleans, per tumbling window and text columns.

    Input: a bounded PCollection of frames with a column of times. Output: one row per window and key, with `id`,
    `window_start`, `window_end`, the keys, `rows`, the sums and `revision`. A row is emitted when the watermark has
    passed the window's end + `lag_ms`. It is emitted again, complete, with a higher revision, if more input comes
    within a week. In a plain pipeline all windows close at the end of the input. Only partial counts are shuffled.

    >>> import apache_beam as beam
    >>> import ecompulse as eco
    >>> from ecompulse.runners.local import LocalRunner
    >>> view = {"event_type": "page_view", "user_id": "u"}
    >>> rows = [{**view, "event_id": str(number), "event_time": f"2025-03-01T10:0{number}:00Z"} for number in range(3)]
    >>> with beam.Pipeline(runner=LocalRunner()) as pipeline:
    ...     frames = pipeline | beam.Create([eco.event_frame(rows)])
    ...     found = frames | eco.TotalPerWindow("views", time="event_time", keys=["event_type"], window_ms=120_000)
    ...     _ = found | beam.Map(lambda totals: print(totals["rows"].to_list()))
    [2, 1]
    """

    def __init__(
        self,
        name: str,
        *,
        time: str,
        keys: Sequence[str] = (),
        sums: Sequence[str] = (),
        window_ms: int = 3_600_000,
        lag_ms: int = 0,
    ) -> None:
        """`name`: of the operator and of `table`; `lag_ms`: by how much rows come later than their `time`."""
        super().__init__()
        self._time = time
        self._kernel = TotalRows(name, tuple(keys), ("rows", *sums), window_ms, lag_ms, revise=True)

    @property
    def table(self) -> TableSpec:
        """The output as a table."""
        [(name, schema)] = self._kernel.outputs.items()
        return TableSpec(name, schema, "window_start", warehouse=True, revised=True)

    def expand(self, frames: Any) -> Any:
        """Count, shuffle, sum."""
        require_bounded(frames, self._kernel.name)
        parts = frames | "Count" >> map_frames(partial_counts, self._kernel, self._time)
        return (parts | Keyed(self._kernel))[self._kernel.name]


def partial_counts(frame: pl.DataFrame, kernel: TotalRows, time: str) -> pl.DataFrame:
    """Rows of a frame, and sums, per window and key (`kernel.inputs`); rows without a time are not counted."""
    start = (pl.col(time).dt.epoch("ms") // kernel.window * kernel.window).cast(TIME).alias("window_start")
    sums = [pl.col(name).cast(pl.Int64).sum() for name in kernel.sums[1:]]
    counted = frame.filter(pl.col(time).is_not_null()).group_by(
        start, *(pl.col(name).cast(pl.String) for name in kernel.keys)
    )
    return counted.agg(pl.len().cast(pl.Int64).alias("rows"), *sums).select(kernel.inputs.names())
