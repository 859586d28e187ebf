"""`DecodeRows`: decodes each batch of raw rows as part of the read, before anything else sees it."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ecompulse.kernels.decode import decode
from ecompulse.kernels.enrich.dead_letters import protect_dead_letters
from ecompulse.kernels.enrich.enrichment import EnrichConfig, OpenResources
from ecompulse.kernels.enrich.pii import HASH_KEY, PiiStep
from ecompulse.kernels.event import RAW_SCHEMA, STORED_LETTER_SCHEMA
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.mapping import Mapping as FieldMapping
from ecompulse.kernels.mapping import fill_orders
from ecompulse.kernels.quality import Check, quality_counts
from ecompulse.kernels.quality_totals import book
from ecompulse.kernels.step import Clock

EVENTS: Final = "events"
DEAD_LETTERS: Final = "dead_letters"
QUALITY: Final = "quality"
IGNORED: Final = "ignored"
FURTHER: Final = "further"
SKIPPED: Final = "skipped"
"""Reported numbers of a batch: events beyond the first of a row, and rows that are skipped."""


def event_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Events as a frame, as a job reads them (FRAME_SCHEMA); fields that a row does not have are null.

    ValueError for a row that would be a dead letter.

    >>> view = {"event_id": "1", "event_type": "page_view", "event_time": "2025-03-01T10:00:00Z", "user_id": "u"}
    >>> event_frame([view]).height
    1
    """
    lines = [json.dumps(row, default=str).encode() for row in rows]
    place = {"source": "rows", "source_partition": 0, "source_offset": range(len(lines))}
    decoded = decode(pl.DataFrame({"raw": lines, **place}, schema=RAW_SCHEMA), time.time_ns() // 1_000_000, None)
    if decoded.dead.height:
        raise ValueError(decoded.dead["message"][0])
    return decoded.events


@dataclass(frozen=True)
class DecodeRows:
    """Raw rows to good events and dead letters, one or the other for every row, and counts of data quality.

    A dead letter is identified by its position, its content and its rule. It is kept with its raw bytes, or as the
    privacy policy says.

    Attributes:
        mapping: of foreign fields; None for the event itself.
        enrich: has the privacy policy.
        resources: opens its key, on the worker.
        window_ms: window of data quality, ms.
        reshape: transforms the good rows of streams that are not events.
    """

    mapping: FieldMapping | None
    enrich: EnrichConfig
    resources: OpenResources
    window_ms: int
    reshape: Callable[[pl.DataFrame], pl.DataFrame] | None = None

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the possible output frames."""
        return (EVENTS, DEAD_LETTERS, QUALITY, *((IGNORED,) if self.reshape else ()))

    def __call__(self, rows: pl.DataFrame, clock: Clock) -> Mapping[str, pl.DataFrame | int]:
        """Frames `events` (FRAME_SCHEMA), `dead_letters`, `quality` (PARTIAL_SCHEMA), and `ignored` if there are any.

        If a mapping divides rows or skips some, there are also the numbers `further` and `skipped`. Ignored rows are
        good rows that `reshape` leaves out, such as unwatched metrics; only their number matters.
        """
        decoded = decode(rows, clock.now, self.mapping)
        events, dead = fill_orders(decoded.events, self.mapping), decoded.dead
        counts = quality_counts(events, dead, self.window_ms, clock.now, 0, decoded.dead_times)
        if self.reshape:  # fields of an event say nothing of what is none
            counts = counts.filter(pl.col("check_name") == Check.SCHEMA_VIOLATION)
        raw = dead["raw"]
        if dead.height:
            policy = self.enrich.step(PiiStep)
            key = self.resources(self.enrich).get(policy.name, {}).get(HASH_KEY) if policy.active else None
            dead = protect_dead_letters(
                dead, decoded.bare, policy, key, self.mapping.aliases() if self.mapping else None
            )
        identity = row_id("source", "source_partition", "source_offset", pl.col("raw").bin.encode("hex"), "rule")
        dead = dead.with_columns(protected=dead["raw"].ne_missing(raw), id=identity)
        kept = self.reshape(events) if self.reshape else events
        return {
            EVENTS: kept,
            DEAD_LETTERS: dead.select(STORED_LETTER_SCHEMA.names()),
            QUALITY: book(counts, self.window_ms, clock.watermark),
            **({FURTHER: decoded.further} if decoded.further else {}),
            **({SKIPPED: decoded.skipped} if decoded.skipped else {}),
            **({IGNORED: events.head(events.height - kept.height)} if kept.height < events.height else {}),
        }
