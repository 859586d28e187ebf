"""`DecodeRows`: what a read does with each batch of raw rows, before anything else sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from ecompulse.kernels.decode import decode
from ecompulse.kernels.enrich.config import PiiStep
from ecompulse.kernels.enrich.dead_letters import protect_dead_letters
from ecompulse.kernels.event import DEAD_LETTER_SCHEMA
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.mapping import Mapping as FieldMapping
from ecompulse.kernels.step import Clock

EVENTS: Final = "events"
DEAD_LETTERS: Final = "dead_letters"
DEAD_LETTERS_SCHEMA: Final = pl.Schema({"id": pl.String(), **DEAD_LETTER_SCHEMA})


@dataclass(frozen=True)
class DecodeRows:
    """Raw rows to good events and dead letters; one or the other for every row.

    A dead letter is identified by its content and rule, and kept with its raw bytes, or as the privacy policy says.

    Attributes:
        mapping: of foreign fields; None for the event itself.
        pii: policy that dead letters fall under.
        pii_key: gives the key of keyed hashes, on the worker.
    """

    mapping: FieldMapping | None = None
    pii: PiiStep = PiiStep()
    pii_key: Callable[[], str | None] = lambda: None

    def __call__(self, rows: pl.DataFrame, clock: Clock) -> Mapping[str, pl.DataFrame]:
        """Frames `events` (FRAME_SCHEMA) and `dead_letters` (DEAD_LETTERS_SCHEMA)."""
        decoded = decode(rows, clock.now, self.mapping)
        dead = decoded.dead
        if dead.height:
            aliases = self.mapping.sources() if self.mapping else None
            dead = protect_dead_letters(dead, self.pii, self.pii_key(), aliases)
        dead = dead.with_columns(id=row_id(pl.col("raw").bin.encode("hex"), "rule"))
        return {EVENTS: decoded.events, DEAD_LETTERS: dead.select(DEAD_LETTERS_SCHEMA.names())}
