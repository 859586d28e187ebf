"""What jobs 2 to 4 share: enriched events of people, with the visitor behind each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import EVENTS
from ecompulse.kernels.bots import ACCOUNTS as BOTS
from ecompulse.kernels.bots import Bots, count_bots, divide_bots
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.joins import Joins
from ecompulse.kernels.identity import NEEDED, ResolveIdentity
from ecompulse.kernels.rows import conform
from pipelines.intake import Intake, Taken

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope

COUNTED: Final = "counted"
"""Account of the events of people, whatever a job makes of them."""

LAG = 1
"""Epochs by which operators after identity are behind: it holds rows until the watermark has passed them."""


@dataclass(frozen=True)
class Visitors:
    """Events of visitors, for a job that groups by them.

    Attributes:
        columns: what the job needs of an event, `visitor`, `device`, `channel` and `country` among it or not.
        dedup: passes the first copy of each event; None: all pass.
    """

    intake: Intake
    bots: Bots
    columns: pl.Schema
    dedup: Deduplicate | None = None

    @property
    def identity(self) -> ResolveIdentity:
        """The kernel that finds the visitor; carries what the job needs."""
        carried = {name: dtype for name, dtype in self.columns.items() if name != "visitor"}
        schema = self.intake.schema()
        return ResolveIdentity(pl.Schema({**{name: schema[name] for name in NEEDED}, **carried}))

    @property
    def operators(self) -> Sequence[Operator]:
        """Deduplication, and identity if the job asks for anything of a visitor."""
        kernels = [self.dedup, self.identity if self.columns else None]
        return [Operator(kernel) for kernel in kernels if kernel is not None]

    def read(self, scope: "Scope") -> Taken:
        """Read, enrich, sort out bots, find visitors."""
        taken = self.people(scope)
        events = self.identify(scope, taken.events)
        scope.follow(COUNTED)
        scope.account("held", events, "held")
        scope.account(COUNTED, events)
        return Taken(events, taken.quality)

    def people(self, scope: "Scope") -> Taken:
        """Read, enrich, sort out bots: events with all their columns, as they come."""
        from ecompulse.transforms.frames import map_frames, split_frames

        taken = self.intake.read(scope)
        enriched = self.intake.enriched(taken.events)
        bots = enriched | "CountBots" >> map_frames(count_bots, self.intake.quality.window_ms)
        divided = enriched | "Bots" >> split_frames(divide_bots, ("kept", *BOTS), self.bots)
        scope.follow(EVENTS)
        for account in BOTS:
            scope.account(account, divided[account])
        taken = Taken(divided["kept"], [*taken.quality, bots])
        taken = self._first_copies(scope, taken) if self.dedup else taken
        scope.account(COUNTED, taken.events)
        return taken

    def _first_copies(self, scope: "Scope", taken: Taken) -> Taken:
        from ecompulse.transforms.join import JoinEvents

        joined = {"events": taken.events} | "JoinEvents" >> JoinEvents(Joins(self.dedup), scope.store, scope.state)
        for account in joined["accounts"]:
            scope.account(*account)
        return Taken(joined["events"], [*taken.quality, *joined["quality"]])

    def identify(self, scope: "Scope", events: Any) -> Any:
        """Events of `people` with their visitor and the columns that the job needs, once the watermark has passed."""
        from ecompulse.epochs.keyed import Keyed
        from ecompulse.transforms.frames import map_frames

        identity = self.identity
        needed = events | "Needed" >> map_frames(needed_columns, identity.inputs)
        return (needed | "ResolveIdentity" >> Keyed(identity, scope.state(identity)))["identified"]


def needed_columns(events: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Enriched events under the names that analytics uses; enrichment that was not done is null."""
    named = {"channel": "campaign_channel", "country": "geo_country"}
    return conform(events.with_columns(pl.col(source).alias(name) for name, source in named.items()), schema)
