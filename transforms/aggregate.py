"""`AggregateMetrics`: declared metrics in tumbling and sliding windows, from slices."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.keyed import Keyed, require_bounded
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.cardinality import bounded, unbounded
from ecompulse.kernels.metrics.definition import standard_metrics
from ecompulse.kernels.metrics.settlement import order_events, settled
from ecompulse.kernels.metrics.slices import to_slices
from ecompulse.kernels.metrics.streams import Streams, streams_of
from ecompulse.kernels.metrics.visits import as_events, condensed
from ecompulse.transforms.frames import map_frames


class AggregateMetrics(beam.PTransform):
    """Computes metrics of events.

    Input: bounded PCollections of frames. `events` has the columns of the plan. `visitors` has events with `visitor`,
    and may have fewer columns. A single PCollection serves as both. Output: `metrics` (METRIC_SCHEMA), and `quality`,
    partial counts of the series that `max_series` folded (PARTIAL_SCHEMA). Windows shuffle only slices, visits only
    the visitor's times, settlements only lines and payments. Final rows are emitted when the watermark has passed a
    window's end plus the metric's lag; in a plain pipeline all windows close at the end of the input.

    >>> import apache_beam as beam
    >>> import ecompulse as eco
    >>> from ecompulse.runners.local import LocalRunner
    >>> view = {"event_type": "page_view", "user_id": "u"}
    >>> rows = [{**view, "event_id": str(number), "event_time": f"2025-03-01T10:0{number}:00Z"} for number in range(3)]
    >>> frame = eco.event_frame(rows).with_columns(visitor="user_id")
    >>> views = (pl.col("metric") == "page_views") & (pl.col("window_size") == "1m") & pl.col("final")
    >>> with beam.Pipeline(runner=LocalRunner()) as pipeline:
    ...     found = pipeline | beam.Create([frame]) | eco.AggregateMetrics()
    ...     values = found["metrics"] | beam.FlatMap(lambda metrics: metrics.filter(views)["value"].cast(float)[:2])
    ...     _ = values | beam.Map(print)
    1.0
    1.0
    """

    def __init__(self, streams: Streams | None = None) -> None:
        """`streams`: the metrics, by their input stream; the standard set of plain events by default."""
        super().__init__()
        self._streams = streams or standard_streams()

    def expand(self, inputs: Any) -> Any:
        """Slice each stream, limit the series, combine."""
        given = inputs if isinstance(inputs, dict) else {"events": inputs}
        events, visitors = given["events"], given.get("visitors", given["events"])
        require_bounded(events, "AggregateMetrics")
        streams = self._streams
        slices = {
            name: frames | f"Slice {name}" >> map_frames(to_slices, plan)
            for name, plan, frames in (
                ("events", streams.events, events),
                ("visitors", streams.visitors, visitors),
                ("visits", streams.visits, self._visits(visitors)),
                ("settlements", streams.settlements, self._settlements(events)),
            )
            if plan.metrics
        }
        quality, admitted = self._bounded(slices)
        combined = admitted | "CombineSlices" >> Keyed(streams.combine)
        return {"metrics": combined["metrics"], "quality": quality}

    def _visits(self, visitors: Any) -> Any:
        follow = self._streams.follow
        if follow is None:
            return None
        few = visitors | "Condense" >> map_frames(condensed, follow.gap)
        marks = (few | "FollowVisits" >> Keyed(follow))["marks"]
        return marks | "AsEvents" >> map_frames(as_events, self._streams.marks)

    def _settlements(self, events: Any) -> Any:
        payments = self._streams.payments
        if payments is None:
            return None
        orders = events | "Orders" >> map_frames(order_events, payments.inputs)
        matched = (orders | "MatchPayments" >> Keyed(payments))["matched"]
        return matched | "Settled" >> map_frames(settled)

    def _bounded(self, slices: Mapping[str, Any]) -> tuple[Any, Any]:
        """Partial counts of quality (None without a bound), and slices of admitted series."""
        every = tuple(slices.values()) | "All slices" >> beam.Flatten()
        admit = self._streams.admit
        if admit is None:
            return None, every
        # Only what has series to bound: the others need not wait for streams that come later.
        some = tuple(slices[name] for name in self._streams.bounded) | "Some slices" >> beam.Flatten()
        admitted = some | "Bounded" >> map_frames(bounded, admit.specs) | "LimitSeries" >> Keyed(admit)
        rest = every | "Unbounded" >> map_frames(unbounded, admit.specs)
        return admitted["quality"], (admitted["slices"], rest) | "Admitted" >> beam.Flatten()


def standard_streams() -> Streams:
    """The standard metrics of decoded events, without metrics whose columns these events lack."""
    schema = pl.Schema({**FRAME_SCHEMA, "visitor": pl.String()})
    plan = bind(standard_metrics(), schema, skip=True)
    return streams_of(plan, schema, session_gap=1_800_000, max_series=10_000)
