"""`AggregateMetrics`: declared metrics in tumbling and sliding windows, from slices."""

from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam

from ecompulse.epochs.keyed import Binding, Keyed, require_bounded
from ecompulse.kernels.metrics.admission import bounded, unbounded
from ecompulse.kernels.metrics.settlement import order_events, settled
from ecompulse.kernels.metrics.slices import to_slices
from ecompulse.kernels.metrics.streams import Streams
from ecompulse.kernels.metrics.visits import as_events, condensed
from ecompulse.kernels.step import Kernel
from ecompulse.transforms.frames import map_frames

Bind = Callable[[Kernel], Binding | None]
"""The state of an operator in the epoch; `Scope.state`."""


def _whole(kernel: Kernel) -> None:
    """No state: the input is the whole world."""
    del kernel


class AggregateMetrics(beam.PTransform):
    """Computes metrics of events.

    Input: bounded PCollections of frames: `events` with the columns of the plan, and `visitors`, events with
    `visitor`, which may have fewer columns; a PCollection by itself is both. Output: `metrics` (METRIC_SCHEMA),
    and `quality`, partial counts of what `max_series` folded (PARTIAL_SCHEMA). Only slices are shuffled for windows,
    and for visits the visitor's times, for settlements the lines and payments. Final rows appear when the watermark
    has passed a window's end and the metric's lag; without `bind` all windows close at the end of the input.
    """

    def __init__(self, streams: Streams, bind: Bind = _whole) -> None:
        """`bind` gives each operator its state."""
        super().__init__()
        self._streams = streams
        self._bind = bind

    def expand(self, inputs: Any) -> Mapping[str, Any]:
        """Slice each stream, bound the series, combine."""
        given = inputs if isinstance(inputs, dict) else {"events": inputs}
        events, visitors = given["events"], given.get("visitors", given["events"])
        require_bounded(events, "AggregateMetrics")
        streams = self._streams
        slices = [
            frames | f"Slice {name}" >> map_frames(to_slices, plan)
            for name, plan, frames in (
                ("events", streams.events, events),
                ("visitors", streams.visitors, visitors),
                ("visits", streams.visits, self._visits(visitors)),
                ("settlements", streams.settlements, self._settlements(events)),
            )
            if plan.metrics
        ]
        quality, admitted = self._bounded(tuple(slices) | "All slices" >> beam.Flatten())
        combined = admitted | "CombineSlices" >> self._keyed(streams.combine)
        return {"metrics": combined["metrics"], "quality": quality}

    def _keyed(self, kernel: Kernel) -> Keyed:
        return Keyed(kernel, self._bind(kernel))

    def _visits(self, visitors: Any) -> Any:
        follow = self._streams.follow
        if follow is None:
            return None
        few = visitors | "Condense" >> map_frames(condensed, follow.gap)
        marks = (few | "FollowVisits" >> self._keyed(follow))["marks"]
        return marks | "AsEvents" >> map_frames(as_events, self._streams.marks)

    def _settlements(self, events: Any) -> Any:
        payments = self._streams.payments
        if payments is None:
            return None
        orders = events | "Orders" >> map_frames(order_events, payments.inputs)
        matched = (orders | "MatchPayments" >> self._keyed(payments))["matched"]
        return matched | "Settled" >> map_frames(settled)

    def _bounded(self, slices: Any) -> tuple[Any, Any]:
        """Partial counts of quality (None without a bound), and slices of admitted series."""
        admit = self._streams.admit
        if admit is None:
            return None, slices
        wide = slices | "Bounded" >> map_frames(bounded, admit.specs)
        rest = slices | "Unbounded" >> map_frames(unbounded, admit.specs)
        admitted = wide | "AdmitSeries" >> self._keyed(admit)
        return admitted["quality"], (admitted["slices"], rest) | "Admitted" >> beam.Flatten()
