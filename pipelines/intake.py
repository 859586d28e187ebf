"""What all jobs begin with: rows decoded, dead letters and data quality written, events enriched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import polars as pl

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import EVENTS, TableSpec
from ecompulse.io.lookups.resources import check_resources, open_resources, take_usage
from ecompulse.io.lookups.store import LookupFailed
from ecompulse.kernels.anomalies.readings import METRIC_MAPPING, to_points
from ecompulse.kernels.anomalies.readings import ROLE as KPIS
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.config import EnrichConfig, parse_enrich
from ecompulse.kernels.enrich.enrichment import KEYED, enriched_schema
from ecompulse.kernels.enrich.joins import REFERRED
from ecompulse.kernels.enrich.pii import apply_to_labels, apply_to_versions, policy_of_labels
from ecompulse.kernels.enrich.versions import KEYS, TYPES, change_mapping, to_versions
from ecompulse.kernels.event import FRAME_SCHEMA, STORED_LETTER_SCHEMA
from ecompulse.kernels.fraud.labels import LABEL_MAPPING, to_labels
from ecompulse.kernels.fraud.labels import ROLE as LABELS
from ecompulse.kernels.mapping import Mapping, load_mapping
from ecompulse.kernels.quality_totals import TOTALS_SCHEMA, TotalQuality
from ecompulse.kernels.rows import REFERENCE, conform
from pipelines.config import read_config
from pipelines.flags import Options

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope

DEAD_LETTERS: Final = TableSpec("dead_letters", STORED_LETTER_SCHEMA, "seen_at")
DATA_QUALITY: Final = TableSpec("data_quality", TOTALS_SCHEMA, "window_start", warehouse=True, revised=True)

PERSON: Final = ("user_id", "anonymous_id")
"""Whose rows stay in order in a topic of events."""

Reshape = Callable[[pl.DataFrame], pl.DataFrame]

_MAPPINGS: Final = {
    **{f"{step}_updates": change_mapping(step) for step in KEYS},
    LABELS: LABEL_MAPPING,
    KPIS: METRIC_MAPPING,
}
"""How rows of other roles than events are read as events."""


@dataclass(frozen=True)
class Intake:
    """How a job takes in events.

    Attributes:
        mapping: of foreign fields; None for the event itself.
        enrich: what the enrichment steps do.
        quality: sums data quality per window.
    """

    mapping: Mapping | None
    enrich: EnrichConfig
    quality: TotalQuality

    @property
    def tables(self) -> Sequence[TableSpec]:
        """Outputs that every job has."""
        return (DEAD_LETTERS, DATA_QUALITY)

    @property
    def operators(self) -> Sequence[Operator]:
        """Keyed operators that every job has."""
        return (Operator(self.quality),)

    def columns_of(self, step: str) -> pl.Schema:
        """Columns that a keyed step adds, unprefixed: its look-up's, else those declared for its update stream."""
        finder = getattr(open_resources(self.enrich), step)
        declared = getattr(self.enrich.steps, step).columns
        return finder.columns if finder else pl.Schema({name: TYPES[kind] for name, kind in declared.items()})

    def schema(self) -> pl.Schema:
        """Columns of an enriched event; UserError when the settings do not fit each other."""
        try:
            return enriched_schema(self.enrich, FRAME_SCHEMA, self.columns_of("user"), self.columns_of("product"))
        except ConfigError as error:
            raise UserError(f"--enrich: {error}") from None

    def read(self, scope: "Scope") -> "Taken":
        """Read and decode the events; dead letters are written, and quality counted, on the way."""
        return self._read(scope, EVENTS, None)

    def read_changes(self, scope: "Scope", step: str, columns: pl.Schema) -> "Taken":
        """The same for a step's update stream: its versions."""
        return self._read(scope, f"{step}_updates", partial(_versions, step=step, columns=columns, enrich=self.enrich))

    def read_labels(self, scope: "Scope", identifier: str) -> "Taken":
        """The same for labels of transactions (LABELLED_SCHEMA), which go by that column of events."""
        steps = self.enrich.steps
        enrich = EnrichConfig(replace(steps, pii=policy_of_labels(steps.pii, identifier)))
        return self._read(scope, LABELS, partial(_labels, enrich=enrich), enrich)

    def read_kpis(self, scope: "Scope", metrics: tuple[str, ...]) -> "Taken":
        """The same for metrics that were computed elsewhere: points of those that are named."""
        return self._read(scope, KPIS, partial(to_points, watched=metrics))

    def mapping_of(self, role: str) -> Mapping | None:
        """How rows of a role are read."""
        return self.mapping if role == EVENTS else _MAPPINGS[role]

    def _read(self, scope: "Scope", role: str, reshape: Reshape | None, enrich: EnrichConfig | None = None) -> "Taken":
        from ecompulse.transforms.decode import DecodeRows

        policy = enrich or self.enrich
        decode = DecodeRows(self.mapping_of(role), policy, open_resources, self.quality.window_ms, reshape)
        taken = scope.read(decode, role, decode.outputs)
        scope.write(DEAD_LETTERS, taken["dead_letters"])
        for account in (DEAD_LETTERS.name, *(("ignored",) if reshape else ())):
            scope.account(account, taken[account])
        scope.account(role, taken["events"])
        return Taken(taken["events"], [taken["quality"]])

    def enriched(self, events: Any) -> Any:
        """Events with the columns of all steps."""
        from ecompulse.transforms.enrich import EnrichEvents
        from ecompulse.transforms.frames import map_frames

        enriched = events | "EnrichEvents" >> EnrichEvents(self.enrich, open_resources, take_usage)
        return enriched | "Conform" >> map_frames(conform, self.schema())

    def finish(self, scope: "Scope", taken: "Taken") -> Any:
        """Sum and write data quality, once all partial counts are there; returns its rows."""
        import apache_beam as beam

        from ecompulse.epochs.keyed import Keyed

        partial = tuple(taken.quality) | "Flatten quality" >> beam.Flatten()
        totals = partial | "TotalQuality" >> Keyed(self.quality, scope.state(self.quality))
        scope.write(DATA_QUALITY, totals["data_quality"])
        return totals["data_quality"]


@dataclass
class Taken:
    """What was read: decoded events, and partial quality counts to which later steps add theirs."""

    events: Any
    quality: list[Any]


def open_intake(options: Options) -> Intake:
    """From a user's options; UserError names the flag and the path of the wrong key."""
    try:
        mapping = load_mapping(options.mapping) if options.mapping else None
    except ConfigError as error:
        raise UserError(f"--mapping: {error}") from None
    enrich = read_config("--enrich", options.enrich, parse_enrich) if options.enrich else EnrichConfig()
    try:
        enrich = at_endpoint(enrich, options.dynamodb_endpoint)
        check_resources(enrich)
    except ConfigError as error:
        raise UserError(f"--enrich: {error}") from None
    except LookupFailed as error:
        raise JobError(f"--enrich: {error}") from None
    return Intake(mapping, enrich, TotalQuality(options.quality_window))


def deduplication(options: Options) -> Deduplicate | None:
    """What passes only the first copy of each event, if the user wants that."""
    if not options.dedup:
        return None
    horizon = options.watermark_delay if options.dedup_horizon is None else options.dedup_horizon
    return Deduplicate(horizon, options.quality_window, pl.Schema({**REFERRED, **REFERENCE}))


def at_endpoint(enrich: EnrichConfig, endpoint: str | None) -> EnrichConfig:
    """The configuration with look-ups in DynamoDB at an endpoint, but those that name one themselves."""
    steps = enrich.steps
    for name in KEYED:
        section = getattr(steps, name)
        text = section.lookup or ""
        if endpoint and text.startswith("dynamodb:") and "endpoint=" not in text:
            separator = "&" if "?" in text else "?"
            steps = replace(steps, **{name: replace(section, lookup=f"{text}{separator}endpoint={quote(endpoint)}")})
    return replace(enrich, steps=steps)


def _labels(rows: pl.DataFrame, enrich: EnrichConfig) -> pl.DataFrame:
    """Labels of decoded rows, under the privacy policy."""
    policy = enrich.steps.pii
    key = open_resources(enrich).pii_key if policy.active else None
    return apply_to_labels(to_labels(rows), policy, key)


def _versions(changes: pl.DataFrame, step: str, columns: pl.Schema, enrich: EnrichConfig) -> pl.DataFrame:
    """Versions of decoded changes, under the privacy policy."""
    policy = enrich.steps.pii
    key = open_resources(enrich).pii_key if policy.active else None
    return apply_to_versions(to_versions(changes, step, columns), policy, key)
