"""Which joins enrichment makes, in which order; and the columns that they add."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.dedup import REFERENCES, Deduplicate
from ecompulse.kernels.enrich.status import OFF
from ecompulse.kernels.interval_join import ATTACHED, NOT_APPLICABLE, MatchPayments
from ecompulse.kernels.rows import REFERENCE
from ecompulse.kernels.temporal_join import JoinVersions

REFERRED: Final = pl.Schema({**REFERENCES, "user_id": pl.String(), "product_id": pl.String()})
"""Columns of an event that deduplication and the immediate joins read."""

READ_BY_JOINS: Final = (*REFERRED, *dict.fromkeys(source for _, source in ATTACHED))
"""Columns of an event that any join reads."""

STAGED: Final = pl.Schema({**REFERRED, **REFERENCE})
"""These, and where the row waits: what travels in place of the row."""


@dataclass(frozen=True)
class Joins:
    """What is joined, in this order.

    Attributes:
        dedup: passes the first copy of each event; None: all pass.
        versions: per step (`user`, `product`), the join with its update stream, and the step's columns.
        payments: matches purchase lines and payments; None: `match_status` is `off`.
    """

    dedup: Deduplicate | None = None
    versions: Mapping[str, tuple[JoinVersions, Mapping[str, pl.DataType]]] = field(default_factory=dict)
    payments: MatchPayments | None = None

    @property
    def waits(self) -> bool:
        """Whether events are held for versions."""
        return any(kernel.wait for kernel, _ in self.versions.values())


def without_payment(events: pl.DataFrame, status: str = NOT_APPLICABLE) -> pl.DataFrame:
    """Events that no payment was joined to, with the columns of those that one may be joined to."""
    absent = {
        name: pl.lit(None, events.schema[source]).alias(name) for name, source in ATTACHED if name not in events.columns
    }
    return events.with_columns(*absent.values(), match_status=pl.lit(status))


def unmatched(events: pl.DataFrame) -> pl.DataFrame:
    """Events when payments are not matched at all."""
    return without_payment(events, OFF)
