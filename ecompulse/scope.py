"""`JobScope`: the scope in which a job of a shop is composed. It reads enriched events, and loses nothing.

The scope itself writes dead letters, late rows and data quality: a job need not handle them.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import apache_beam as beam
import polars as pl

from ecompulse.epochs.audit import Graph
from ecompulse.epochs.keyed import Keyed
from ecompulse.epochs.protocols import EVENTS, Reader
from ecompulse.epochs.scope import Scope, Workspace
from ecompulse.epochs.sinks import TableSpec
from ecompulse.intake import DATA_QUALITY, DEAD_LETTERS, Intake
from ecompulse.io.lookups.resources import open_resources, take_usage
from ecompulse.kernels.anomalies.readings import ROLE as KPIS
from ecompulse.kernels.bots import ACCOUNTS as BOTS
from ecompulse.kernels.bots import READ, Bots, count_bots, divide_bots
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.joins import READ_BY_JOINS, Joins
from ecompulse.kernels.fraud.labels import ROLE as LABELS
from ecompulse.kernels.identity import NEEDED, ResolveIdentity
from ecompulse.kernels.quality_totals import book_under, count_late
from ecompulse.kernels.rows import CAME_LATE, conform
from ecompulse.kernels.step import Kernel
from ecompulse.transforms.decode import QUALITY, DecodeRows
from ecompulse.transforms.enrich import EnrichEvents
from ecompulse.transforms.frames import map_frames, split_frames
from ecompulse.transforms.join import JoinEvents

LATE: Final = "late_events"
"""Output of a kernel for rows that are too late for it, and the table that receives them."""

COUNTED: Final = "counted"
"""Account of the events of people, whatever a job makes of them."""

_SOURCES: Final = {"channel": "campaign_channel", "country": "geo_country"}
_NAMED: Final = pl.Schema(dict.fromkeys(("device", *_SOURCES), pl.String()))
"""Columns by which analytics separates segments."""


class JobScope(Scope):
    """A `Scope` that reads the events of a shop.

    Its reading methods return PCollections of frames. Bad rows are written to `dead_letters`. Rows that a kernel emits
    as `late_events` are written to the table of that name. Both are counted in `data_quality`.
    """

    def __init__(
        self, pipeline: beam.Pipeline, space: Workspace, readers: Sequence[tuple[str, Reader]], intake: Intake
    ) -> None:
        """`intake`: how rows are read."""
        super().__init__(pipeline, space, readers)
        self.intake = intake
        self._quality: list[Any] = []
        self._late: list[tuple[Any, pl.Schema]] = []

    def events(self) -> Any:
        """Decoded events (FRAME_SCHEMA); see `enriched`."""
        return self._decoded(EVENTS, self.intake.reading_of(EVENTS))

    def changes(self, step: str, columns: pl.Schema) -> Any:
        """Versions of a step's update stream."""
        return self._decoded(f"{step}_updates", self.intake.changes_of(step, columns))

    def labels(self, identifier: str) -> Any:
        """Labels of transactions (LABELLED_SCHEMA), whose ids are those of the column `identifier` of events."""
        return self._decoded(LABELS, self.intake.labels_of(identifier))

    def kpis(self, watched: tuple[str, ...]) -> Any:
        """Points of the `watched` metrics, which were computed elsewhere."""
        return self._decoded(KPIS, self.intake.kpis_of(watched))

    def enriched(self, columns: Collection[str] | None = None) -> Any:
        """Events with the columns of all steps (`Intake.schema`), or with `columns` and what makes them alone."""
        config, schema = self.intake.enrich, self.intake.schema()
        if columns is not None:
            config = config.making(columns, open_resources(config))
            schema = pl.Schema({name: dtype for name, dtype in schema.items() if name in columns})
        enriched = self.events() | "EnrichEvents" >> EnrichEvents(config, open_resources, take_usage)
        return enriched | "Conform" >> map_frames(conform, schema)

    def people(
        self, bots: Bots = "exclude", dedup: Deduplicate | None = None, columns: Collection[str] | None = None
    ) -> Any:
        """Enriched events without those of bots.

        Args:
            bots: what becomes of them.
            dedup: leaves out copies, if it is given.
            columns: what is needed of an event, under its own names or those of analytics; enrichment that makes
                nothing of it is left out. None: everything.
        """
        enriched = self.enriched(None if columns is None else _sources(columns, joined=dedup is not None))
        self.booked("bots", enriched | "CountBots" >> map_frames(count_bots, self.intake.quality.window_ms))
        divided = enriched | "Bots" >> split_frames(divide_bots, ("kept", *BOTS), bots)
        self.follow(EVENTS)
        for account in BOTS:
            self.account(account, divided[account])
        events = divided["kept"]
        if dedup:
            joined = {"events": events} | "JoinEvents" >> JoinEvents(Joins(dedup))
            self.count(*joined["quality"])
            for account in joined["accounts"]:
                self.account(*account)
            events = joined["events"]
        self.account(COUNTED, events)
        return events

    def visitors(
        self, columns: pl.Schema | None = None, bots: Bots = "exclude", dedup: Deduplicate | None = None
    ) -> Any:
        """Events of `people` with the `visitor` behind each; see `identify`."""
        return self.identify(self.people(bots, dedup, columns), columns, follow=True)

    def identify(self, events: Any, columns: pl.Schema | None = None, *, follow: bool = False) -> Any:
        """Events of `people` with their `visitor`, once the watermark has passed them.

        Args:
            events: enriched.
            columns: the needed columns of an event, under the names of analytics, such as `device`,
                `channel`, `country`. None: every field. With `came_late` among them, all rows wait for the watermark,
                for operators that read this column.
            follow: account for these rows instead of those of `people`.
        """
        schema = self.intake.schema()
        given = {**schema, **_NAMED} if columns is None else columns
        wanted = {name: given[name] for name in given if name not in ("visitor", CAME_LATE)}
        carried = pl.Schema({**{name: schema[name] for name in NEEDED}, **wanted})
        identity = ResolveIdentity(carried, settles=CAME_LATE in given)
        needed = events | "Needed" >> map_frames(needed_columns, identity.inputs)
        identified = (needed | "ResolveIdentity" >> Keyed(identity))["identified"]
        if follow:
            self.follow(COUNTED)
            self.account("held", identified, "held")
            self.account(COUNTED, identified)
        return identified

    def count(self, *partial: Any) -> None:
        """Add partial counts to data quality (PARTIAL_SCHEMA); ValueError once `quality` has been asked for."""
        if "quality" in self.__dict__:
            raise ValueError("data quality is summed already; count before you read it")
        self._quality += partial

    def booked(self, name: str, partial: Any) -> None:
        """Like `count`, for rows that were held, or may be late, and whose window may have closed."""
        quality = self.intake.quality
        self.count(partial | f"Book {name}" >> self.under_clock(quality, book_under, quality.window_ms))

    def stepped(self, kernel: Kernel, outputs: Mapping[str, Any]) -> None:
        """Keep and count the late rows of any operator."""
        if LATE in outputs:
            self.late(kernel.name, outputs[LATE], kernel.outputs[LATE])

    def late(self, name: str, rows: Any, schema: pl.Schema) -> None:
        """Write rows (`schema`) that came too late for an operator to `late_events`, and count them."""
        self._late.append((rows, schema))
        self.booked(f"late {name}", rows | f"CountLate {name}" >> map_frames(count_late, self.intake.quality.window_ms))

    @cached_property
    def quality(self) -> Any:
        """Rows of `data_quality`; all counts must have been added before this."""
        partial = tuple(self._quality) | "Flatten quality" >> beam.Flatten()
        kernel = self.intake.quality
        totals = partial | "TotalQuality" >> Keyed(kernel, fixed={"quality_window": f"{kernel.window_ms} ms"})
        self.write(DATA_QUALITY, totals["data_quality"])
        return totals["data_quality"]

    def finish(self) -> Graph:
        """See Scope."""
        _ = self.quality
        columns = pl.Schema({name: dtype for _, schema in self._late for name, dtype in schema.items()})
        for number, (rows, schema) in enumerate(self._late):
            alike = rows if schema == columns else rows | f"Late {number}" >> map_frames(conform, columns)
            self.write(TableSpec(LATE, columns, "event_time"), alike)
        return super().finish()

    def _decoded(self, role: str, decode: DecodeRows) -> Any:
        read = self.read(decode, role, decode.outputs)
        self.write(DEAD_LETTERS, read[DEAD_LETTERS.name])
        for account in sorted(read.keys() - {EVENTS, QUALITY}):
            self.account(account, read[account])
        self.account(role, read[EVENTS])
        self.count(read[QUALITY])
        return read[EVENTS]


def _sources(columns: Collection[str], *, joined: bool) -> Collection[str]:
    """The columns of enriched events behind these, and those that the scope itself reads; or that joins read."""
    own = (*NEEDED, *READ, *(READ_BY_JOINS if joined else ()))
    return {*own, *(_SOURCES.get(name, name) for name in columns)}


def needed_columns(events: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Enriched events under the column names of analytics; enrichment that was not done is null."""
    made = [pl.col(source).alias(name) for name, source in _SOURCES.items() if name in schema]
    return conform(events.with_columns(made), schema)
