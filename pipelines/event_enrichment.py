"""`python -m pipelines.event_enrichment`: events with user, product, place and device, to the lake and topics."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

import ecompulse as eco
from ecompulse.cli.flags import flag, switch
from ecompulse.cli.job import JobSpec
from ecompulse.cli.launch import main as launch
from ecompulse.cli.settings import JOINS, DedupSettings, Settings
from ecompulse.cli.values import duration
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import EVENTS
from ecompulse.epochs.sinks import TableSpec
from ecompulse.intake import PERSON, Intake
from ecompulse.io.terminal import say
from ecompulse.kernels.enrich.joins import STAGED, Joins, unmatched
from ecompulse.kernels.enrich.versions import KEYS, version_columns
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.interval_join import MatchPayments
from ecompulse.kernels.temporal_join import JoinVersions


@dataclass(frozen=True)
class EnrichmentSettings(DedupSettings):
    """Joins beside the steps of `--enrich`."""

    user_updates: str | None = flag(
        JOINS, "files of changes to users: user_id, updated_at, columns; joined by time", metavar="URI"
    )
    product_updates: str | None = flag(
        JOINS, "files of changes to products: product_id, updated_at, columns", metavar="URI"
    )
    join_wait: int = flag(
        JOINS,
        "event time to wait for versions; 0s takes the best known now; fixed for the life of a checkpoint",
        0,
        parse=duration,
    )
    match_payments: bool = switch(JOINS, "join purchase lines with the payment of their order")
    payment_bound: int = flag(
        JOINS,
        "event time between a purchase line and its payment at the most",
        900_000,
        parse=duration,
    )

    @property
    def further(self) -> Sequence[tuple[str, str]]:
        """The update streams."""
        return [(f"{step}_updates", uri) for step in KEYS if (uri := getattr(self, f"{step}_updates")) is not None]


@dataclass(frozen=True)
class EventEnrichment:
    """Job 1: one enriched row per good event, one dead letter per bad one."""

    joins: Joins
    enriched: TableSpec

    def build(self, scope: "eco.JobScope") -> None:
        """Compose the pipeline."""
        inputs = {"events": scope.enriched()}
        for step, (_, columns) in self.joins.versions.items():
            inputs[step] = scope.changes(step, pl.Schema(columns))
        joined = inputs | eco.JoinEvents(self.joins)
        scope.count(*joined["quality"])
        enriched = joined["events"] | "Identify" >> eco.map_frames(identified)
        scope.write(self.enriched, enriched)
        scope.follow(EVENTS)
        for account in (*joined["accounts"], (self.enriched.name, enriched)):
            scope.account(*account)


def identified(events: pl.DataFrame) -> pl.DataFrame:
    """Enriched events with the row's id, which follows from the event's."""
    return events.with_columns(id=row_id(pl.lit("enriched_events"), "event_id"))


def make(settings: Settings[EnrichmentSettings], intake: Intake) -> EventEnrichment:
    """The job that a user asked for; UserError names what does not fit."""
    own, event = settings.own, intake.schema()
    joins = Joins(
        dedup=own.deduplication(settings.time, intake.mapping),
        versions=_versions(settings, intake, event if own.join_wait else STAGED),
        payments=MatchPayments(event, own.payment_bound) if own.match_payments else None,
    )
    columns = unmatched(pl.DataFrame(schema=event)).schema
    spec = TableSpec("enriched_events", pl.Schema({"id": pl.String(), **columns}), "event_time", key=PERSON)
    if joins.versions:
        say(f"event_enrichment: joins wait {own.join_wait} ms of event time for versions")
    return EventEnrichment(joins, spec)


def _versions(
    settings: Settings[EnrichmentSettings], intake: Intake, carried: pl.Schema
) -> dict[str, tuple[JoinVersions, pl.Schema]]:
    versions = {}
    for role, _ in settings.own.further:
        step = role.removesuffix("_updates")
        columns = intake.columns_of(step)
        if not columns:
            raise UserError(f"--{role}: give its columns as steps.{step}.columns in --enrich, or a look-up")
        kernel = JoinVersions(
            on=KEYS[step],
            values=version_columns(columns, step),
            wait=settings.own.join_wait,
            columns=carried,
            retention=settings.time.watermark_delay,
            prefix=f"{step}_",
            name=f"{step}_versions",
        )
        versions[step] = (kernel, columns)
        carried = kernel.outputs["joined"]
    return versions


SPEC: Final = JobSpec(
    "event_enrichment",
    "Enrich shop events with user, product, place, device, campaign and currency.",
    EnrichmentSettings,
    make,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
