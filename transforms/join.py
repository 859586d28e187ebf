"""Deduplication and joins over enriched events.

A join that answers within the same epoch shuffles only keys, times and references, and its rows wait in files. A join
that holds rows over epochs shuffles whole rows, since the files do not outlive the run.
"""

from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.keyed import Keyed
from ecompulse.epochs.staging import StageRows, TakeRows
from ecompulse.kernels.enrich.joins import REFERRED, Joins, unmatched, without_payment
from ecompulse.kernels.enrich.versions import merge_versions
from ecompulse.kernels.temporal_join import JoinVersions
from ecompulse.transforms.frames import map_frames, split_frames


class JoinEvents(beam.PTransform):
    """Applies `Joins` to frames of enriched events.

    Input: `events`, and per step the versions of its update stream (`to_versions`). Output: `events`, partial counts of
    data quality as `quality`, and `accounts`: for Scope.account, where the other events end.
    Without any join nothing is shuffled. Bounded inputs only.

    >>> import apache_beam as beam
    >>> import ecompulse as eco
    >>> from ecompulse.runners.local import LocalRunner
    >>> from ecompulse.kernels.dedup import Deduplicate
    >>> from ecompulse.kernels.enrich.joins import STAGED, Joins
    >>> came = {"event_id": "1", "event_type": "page_view", "event_time": "2025-03-01T10:00:00Z", "user_id": "u"}
    >>> with beam.Pipeline(runner=LocalRunner()) as pipeline:
    ...     events = pipeline | beam.Create([eco.event_frame([came, came])])
    ...     found = {"events": events} | eco.JoinEvents(Joins(Deduplicate(columns=STAGED)))
    ...     _ = found["events"] | beam.Map(lambda unique: print(unique.height))
    1
    """

    def __init__(self, joins: Joins) -> None:
        """Settings only."""
        super().__init__()
        self._joins = joins

    def expand(self, inputs: Any) -> Any:
        """Dedup, versions, payments."""
        joins, events, quality, accounts = self._joins, inputs["events"], [], []
        staged, waiting = joins.dedup is not None or (joins.versions and not joins.waits), list[Any]()
        if staged:
            events, *waiting = events | "Stage" >> StageRows(REFERRED.names())
        if joins.dedup:
            judged = events | "Deduplicate" >> Keyed(joins.dedup)
            events, quality = judged["unique"], [judged["quality"]]
            accounts.append(("duplicates", events, "duplicates"))
        if joins.waits and staged:
            events = (events, *waiting) | "Take" >> TakeRows()
        for step, (kernel, _) in joins.versions.items():
            events = self._versions(step, kernel, events, inputs[step])
            accounts.append(("held", events, "held"))
        if staged and not joins.waits:
            events = (events, *waiting) | "Take" >> TakeRows()
        for step, (_, columns) in joins.versions.items():
            events = events | f"Merge {step}" >> map_frames(merge_versions, step, columns)
        joined, matched = self._payments(events)
        accounts += [("held", matched, "held")] if matched else []
        return {"events": joined, "quality": quality, "accounts": accounts}

    def _versions(self, step: str, kernel: JoinVersions, events: Any, versions: Any) -> Any:
        asked = events | f"Ask {step}" >> map_frames(kernel.asked)
        told = versions | f"Tell {step}" >> map_frames(kernel.told)
        both = (asked, told) | f"Both {step}" >> beam.Flatten()
        fixed = {"join_wait": f"{kernel.wait} ms"}  # another wait has other rows waiting, and other operators behind it
        return (both | f"JoinVersions {step}" >> Keyed(kernel, fixed=fixed))["joined"]

    def _payments(self, events: Any) -> tuple[Any, Any]:
        """All events, and the matched ones; None where there is nothing to match."""
        kernel = self._joins.payments
        if kernel is None:
            return events | "Unmatched" >> map_frames(unmatched), None
        parts = events | "Orders" >> split_frames(split_orders, ("orders", "others"))
        matched = (parts["orders"] | "MatchPayments" >> Keyed(kernel))["matched"]
        others = parts["others"] | "NoPayment" >> map_frames(without_payment)
        return (matched, others) | "All events" >> beam.Flatten(), matched


def split_orders(events: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Only purchase lines and payments (`orders`) can match; all others (`others`) need not be shuffled."""
    paired = events["event_type"].is_in(["purchase", "payment"]).fill_null(value=False)
    return {"orders": events.filter(paired), "others": events.filter(~paired)}
