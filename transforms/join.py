"""Deduplication and joins over enriched events.

Where an answer is given in the epoch that asks, only keys, times and references are shuffled and the rows wait in
files; rows that are held over epochs travel whole, since their files do not outlive the run.
"""

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.keyed import Binding, Keyed, tagged_outputs
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.staging import StageRows, TakeRows
from ecompulse.kernels.enrich.joins import REFERRED, Joins, unmatched, without_payment
from ecompulse.kernels.enrich.versions import merge_versions
from ecompulse.kernels.step import Kernel
from ecompulse.kernels.temporal_join import JoinVersions
from ecompulse.transforms.frames import map_frames

Bind = Callable[[Kernel], Binding]
"""The state of an operator in the epoch; `Scope.state`."""


class JoinEvents(beam.PTransform):
    """Applies `Joins` to frames of enriched events.

    Input: `events`, and per step the versions of its update stream (`to_versions`). Output: `events`, and partial
    counts of data quality as `quality`. Without any join nothing is shuffled. Bounded inputs only.
    """

    def __init__(self, joins: Joins, store: Store, bind: Bind) -> None:
        """`store`: where rows wait while references travel; `bind` gives each operator its state."""
        super().__init__()
        self._joins = joins
        self._store = store
        self._bind = bind

    def expand(self, inputs: Any) -> Any:
        """Dedup, versions, payments."""
        joins, events, quality = self._joins, inputs["events"], []
        staged = joins.dedup is not None or (joins.versions and not joins.waits)
        if staged:
            events = events | "Stage" >> StageRows(self._store, REFERRED.names())
        if joins.dedup:
            judged = events | "Deduplicate" >> Keyed(joins.dedup, self._bind(joins.dedup))
            events, quality = judged["unique"], [judged["quality"]]
        if joins.waits and staged:
            events = events | "Take" >> TakeRows(self._store)
        for step, (kernel, _) in joins.versions.items():
            events = self._versions(step, kernel, events, inputs[step])
        if staged and not joins.waits:
            events = events | "Take" >> TakeRows(self._store)
        for step, (_, columns) in joins.versions.items():
            events = events | f"Merge {step}" >> map_frames(merge_versions, step, columns)
        return {"events": self._payments(events), "quality": quality}

    def _versions(self, step: str, kernel: JoinVersions, events: Any, versions: Any) -> Any:
        asked = events | f"Ask {step}" >> map_frames(kernel.asked)
        told = versions | f"Tell {step}" >> map_frames(kernel.told)
        both = (asked, told) | f"Both {step}" >> beam.Flatten()
        return (both | f"JoinVersions {step}" >> Keyed(kernel, self._bind(kernel)))["joined"]

    def _payments(self, events: Any) -> Any:
        kernel = self._joins.payments
        if kernel is None:
            return events | "Unmatched" >> map_frames(unmatched)
        parts = events | "Orders" >> tagged_outputs(_SplitOrders(), dict.fromkeys(("orders", "others"), pl.DataFrame))
        matched = (parts["orders"] | "MatchPayments" >> Keyed(kernel, self._bind(kernel)))["matched"]
        others = parts["others"] | "NoPayment" >> map_frames(without_payment)
        return (matched, others) | "All events" >> beam.Flatten()


class _SplitOrders(beam.DoFn):
    """Only purchase lines and payments can meet; all else need not be shuffled."""

    def process(self, element: pl.DataFrame) -> Iterable[Any]:
        paired = element["event_type"].is_in(["purchase", "payment"]).fill_null(value=False)
        for tag, part in (("orders", element.filter(paired)), ("others", element.filter(~paired))):
            if not part.is_empty():
                yield beam.pvalue.TaggedOutput(tag, part)
