"""How a job takes in rows: mapping, enrichment settings, data quality. Frozen, and known before Beam is imported."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import EVENTS
from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.lookups.resources import open_resources
from ecompulse.kernels.anomalies.readings import METRIC_MAPPING, to_points
from ecompulse.kernels.anomalies.readings import ROLE as KPIS
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.enrichment import EnrichConfig, enriched_schema
from ecompulse.kernels.enrich.pii import HASH_KEY, PiiStep, apply_to_labels, apply_to_versions, policy_of_labels
from ecompulse.kernels.enrich.versions import KEYS, change_mapping, to_versions
from ecompulse.kernels.event import FRAME_SCHEMA, STORED_LETTER_SCHEMA
from ecompulse.kernels.fraud.labels import LABEL_MAPPING, to_labels
from ecompulse.kernels.fraud.labels import ROLE as LABELS
from ecompulse.kernels.mapping import Mapping
from ecompulse.kernels.quality_totals import TOTALS_SCHEMA, TotalQuality
from ecompulse.transforms.decode import DecodeRows

DEAD_LETTERS: Final = TableSpec("dead_letters", STORED_LETTER_SCHEMA, "seen_at")
DATA_QUALITY: Final = TableSpec(
    "data_quality", TOTALS_SCHEMA, "window_start", warehouse=True, revised=True, asked_by=("check_name", "subject")
)

PERSON: Final = ("user_id", "anonymous_id")
"""Whose rows stay in order in a topic of events."""

Reshape = Callable[[pl.DataFrame], pl.DataFrame]

_MAPPINGS: Final = {
    **{f"{step}_updates": change_mapping(step) for step in KEYS},
    LABELS: LABEL_MAPPING,
    KPIS: METRIC_MAPPING,
}
"""How rows of other roles than events are read as events."""

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class Intake:
    """How a job takes in rows.

    Attributes:
        mapping: of foreign fields; None for the event itself.
        enrich: what the enrichment steps do.
        quality: sums data quality per window.
    """

    mapping: Mapping | None = None
    enrich: EnrichConfig = field(default_factory=EnrichConfig)
    quality: TotalQuality = field(default_factory=lambda: TotalQuality(HOUR_MS))

    def columns_of(self, step: str) -> pl.Schema:
        """Columns that a keyed step adds, unprefixed: its look-up's, else those declared for its update stream."""
        return self.enrich.lookup(step).given(open_resources(self.enrich)[step])

    def schema(self) -> pl.Schema:
        """Columns of an enriched event; UserError when the settings do not fit each other."""
        try:
            return enriched_schema(self.enrich, FRAME_SCHEMA, open_resources(self.enrich))
        except ConfigError as error:
            raise UserError(f"--enrich: {error}") from None

    def mapping_of(self, role: str) -> Mapping | None:
        """How rows of a role are read."""
        return self.mapping if role == EVENTS else _MAPPINGS[role]

    def reading_of(self, role: str, reshape: Reshape | None = None) -> DecodeRows:
        """How rows of a role are decoded, and how the good ones are processed."""
        return DecodeRows(self.mapping_of(role), self.enrich, open_resources, self.quality.window_ms, reshape)

    def changes_of(self, step: str, columns: pl.Schema) -> DecodeRows:
        """The same for a step's update stream: its versions, with these columns."""
        reshape = partial(_versions, step=step, columns=columns, enrich=self.enrich)
        return self.reading_of(f"{step}_updates", reshape)

    def kpis_of(self, watched: tuple[str, ...]) -> DecodeRows:
        """The same for metrics that were computed elsewhere: points of the watched ones."""
        return self.reading_of(KPIS, partial(to_points, watched=watched))

    def labels_of(self, identifier: str) -> DecodeRows:
        """The same for labels of transactions (LABELLED_SCHEMA), whose ids are those of that column of events."""
        enrich = self.enrich.having(policy_of_labels(self.enrich.step(PiiStep), identifier))
        return replace(self, enrich=enrich).reading_of(LABELS, partial(_labels, enrich=enrich))


def _labels(rows: pl.DataFrame, enrich: EnrichConfig) -> pl.DataFrame:
    """Labels of decoded rows, under the privacy policy."""
    return apply_to_labels(to_labels(rows), *_policy(enrich))


def _versions(changes: pl.DataFrame, step: str, columns: pl.Schema, enrich: EnrichConfig) -> pl.DataFrame:
    """Versions of decoded changes, under the privacy policy."""
    return apply_to_versions(to_versions(changes, step, columns), *_policy(enrich))


def _policy(enrich: EnrichConfig) -> tuple[PiiStep, str | None]:
    """The privacy policy, and the key of its hashes if it has any."""
    policy = enrich.step(PiiStep)
    return policy, open_resources(enrich)[policy.name].get(HASH_KEY)
