"""`python -m pipelines.event_enrichment`: events with user, product, place and device, to the lake and topics."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import EVENTS, TableSpec
from ecompulse.io.terminal import say
from ecompulse.kernels.enrich.joins import REFERRED, Joins, unmatched
from ecompulse.kernels.enrich.versions import KEYS, version_columns
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.interval_join import MatchPayments
from ecompulse.kernels.rows import REFERENCE
from ecompulse.kernels.temporal_join import JoinVersions
from pipelines.common import DEDUP, JOINS
from pipelines.flags import Flag, Options, duration
from pipelines.intake import PERSON, Intake, deduplication, open_intake
from pipelines.launch import JobSpec
from pipelines.launch import main as launch

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope

FLAGS: Final = (
    *DEDUP,
    Flag("user_updates", JOINS, "files of changes to users: user_id, updated_at, columns; joined by time"),
    Flag("product_updates", JOINS, "files of changes to products: product_id, updated_at, columns"),
    Flag(
        "join_wait",
        JOINS,
        "event time to wait for versions; 0s takes the best known now",
        default=0,
        parse=duration,
        shown="0s",
    ),
    Flag("match_payments", JOINS, "join purchase lines with the payment of their order", default=False, switch=True),
    Flag(
        "payment_bound",
        JOINS,
        "event time between a purchase line and its payment at the most",
        default=900_000,
        parse=duration,
        shown="15m",
    ),
)


@dataclass(frozen=True)
class EventEnrichment:
    """Job 1: one enriched row per good event, one dead letter per bad one."""

    intake: Intake
    joins: Joins
    enriched: TableSpec
    name: str = "event_enrichment"

    @property
    def tables(self) -> Sequence[TableSpec]:
        """Outputs."""
        return (self.enriched, *self.intake.tables)

    @property
    def operators(self) -> Sequence[Operator]:
        """Keyed operators; what follows a wait sees rows that much later, and an epoch later."""
        joins = self.joins
        found = [Operator(joins.dedup)] if joins.dedup else []
        lag = hold = 0
        for kernel, _ in joins.versions.values():
            found.append(Operator(kernel, lag, hold))
            lag, hold = lag + bool(kernel.wait), hold + kernel.wait
        payments = [Operator(joins.payments, lag, hold)] if joins.payments else []
        return (*found, *payments, *self.intake.operators)

    def build(self, scope: "Scope") -> None:
        """Compose the pipeline."""
        from ecompulse.transforms.frames import map_frames
        from ecompulse.transforms.join import JoinEvents

        taken = self.intake.read(scope)
        inputs = {"events": self.intake.enriched(taken.events)}
        for step, (_, columns) in self.joins.versions.items():
            changes = self.intake.read_changes(scope, step, pl.Schema(columns))
            inputs[step] = changes.events
            taken.quality += changes.quality
        joined = inputs | "JoinEvents" >> JoinEvents(self.joins, scope.store, scope.state)
        taken.quality += joined["quality"]
        enriched = joined["events"] | "Identify" >> map_frames(identified)
        scope.follow(EVENTS)
        for account in (*joined["accounts"], (self.enriched.name, enriched)):
            scope.account(*account)
        scope.write(self.enriched, enriched)
        self.intake.finish(scope, taken)


def identified(events: pl.DataFrame) -> pl.DataFrame:
    """Enriched events with the row's id, which follows from the event's."""
    return events.with_columns(id=row_id(pl.lit("enriched_events"), "event_id"))


def make(options: Options) -> EventEnrichment:
    """The job that a user asked for; UserError names what does not fit."""
    intake = open_intake(options)
    event = intake.schema()
    referred = pl.Schema({**REFERRED, **REFERENCE})
    joins = Joins(
        dedup=deduplication(options),
        versions=_versions(options, intake, event if options.join_wait else referred),
        payments=MatchPayments(event, options.payment_bound) if options.match_payments else None,
    )
    columns = unmatched(pl.DataFrame(schema=event)).schema
    spec = TableSpec("enriched_events", pl.Schema({"id": pl.String(), **columns}), "event_time", key=PERSON)
    if joins.versions:
        say(f"event_enrichment: joins wait {options.join_wait} ms of event time for versions")
    return EventEnrichment(intake, joins, spec)


def _versions(options: Options, intake: Intake, carried: pl.Schema) -> dict[str, tuple[JoinVersions, pl.Schema]]:
    versions = {}
    for step, key in KEYS.items():
        if not getattr(options, f"{step}_updates"):
            continue
        columns = intake.columns_of(step)
        if not columns:
            raise UserError(f"--{step}_updates: give its columns as steps.{step}.columns in --enrich, or a look-up")
        kernel = JoinVersions(
            on=key,
            values=version_columns(columns, step),
            wait=options.join_wait,
            columns=carried,
            retention=options.watermark_delay,
            prefix=f"{step}_",
            name=f"{step}_versions",
        )
        versions[step] = (kernel, columns)
        carried = kernel.outputs["joined"]
    return versions


def update_streams(options: Options) -> list[tuple[str, str]]:
    """Role and URI of the update streams that a user gave."""
    return [(f"{step}_updates", uri) for step in KEYS if (uri := getattr(options, f"{step}_updates")) is not None]


SPEC: Final = JobSpec(
    "event_enrichment",
    "Enrich shop events with user, product, place, device, campaign and currency.",
    FLAGS,
    make,
    update_streams,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
