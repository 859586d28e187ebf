"""`python -m pipelines.event_enrichment`: events with user, product, place and device, to the lake and topics."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import TableSpec
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.config import EnrichConfig
from ecompulse.kernels.enrich.enrichment import enriched_schema
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.mapping import Mapping
from ecompulse.kernels.step import Kernel
from pipelines.flags import Flag, Options
from pipelines.launch import JobSpec
from pipelines.launch import main as launch

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope

ENRICH: Final = "enrichment"


@dataclass(frozen=True)
class EventEnrichment:
    """Job 1: one enriched row per good event, one dead letter per bad one."""

    mapping: Mapping | None
    enrich: EnrichConfig
    enriched: TableSpec
    dead_letters: TableSpec
    name: str = "event_enrichment"

    @property
    def tables(self) -> Sequence[TableSpec]:
        """Outputs."""
        return (self.enriched, self.dead_letters)

    @property
    def kernels(self) -> Sequence[Kernel]:
        """Keyed operators."""
        return ()

    def build(self, scope: "Scope") -> None:
        """Compose the pipeline."""
        from ecompulse.io.lookups.resources import open_resources  # noqa: PLC0415  # used by workers
        from ecompulse.transforms.decode import DEAD_LETTERS, EVENTS, DecodeRows  # noqa: PLC0415  # Beam is slow
        from ecompulse.transforms.enrich import EnrichEvents  # noqa: PLC0415

        rows = scope.read(DecodeRows(self.mapping, self.enrich.steps.pii), outputs=(EVENTS, DEAD_LETTERS))
        enriched = rows[EVENTS] | "EnrichEvents" >> EnrichEvents(self.enrich, open_resources)
        scope.write(self.enriched, enriched)
        scope.write(self.dead_letters, rows[DEAD_LETTERS])


def with_id(table: str) -> pl.Expr:
    """The id of an event's row in a table: by the event's own id."""
    return row_id(pl.lit(table), "event_id")
