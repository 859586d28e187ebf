"""`python -m pipelines.session_analytics`: sessions, funnels, abandonment."""

import dataclasses
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import ecompulse as eco
from ecompulse.cli.config import read_config
from ecompulse.cli.flags import flag, switch
from ecompulse.cli.job import JobSpec
from ecompulse.cli.launch import main as launch
from ecompulse.cli.settings import Settings, VisitorSettings
from ecompulse.cli.values import duration
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.sinks import TableSpec
from ecompulse.intake import Intake
from ecompulse.kernels.abandonment import WatchCarts
from ecompulse.kernels.bots import Bots
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.currency import CurrencyStep
from ecompulse.kernels.funnels.definition import Funnel, parse_funnel, shipped_funnel
from ecompulse.kernels.funnels.totals import TotalFunnels
from ecompulse.kernels.funnels.track import TrackFunnels
from ecompulse.kernels.sessions.kernel import Sessionize, total_transitions
from ecompulse.kernels.window_totals import TotalRows

SESSIONS: Final = "sessions"


@dataclass(frozen=True)
class SessionSettings(VisitorSettings):
    """What a session, a funnel and an abandoned cart are."""

    session_gap: int = flag(
        SESSIONS,
        "silence that ends a session; a distance equal to it starts a new one",
        1_800_000,
        parse=duration,
    )
    session_max: int = flag(SESSIONS, "longest session, 0s for any; a longer one is cut", 86_400_000, parse=duration)
    session_updates: bool = switch(SESSIONS, "early revisions of open sessions")
    funnel: str | None = flag(
        SESSIONS,
        "YAML file of the funnel",
        metavar="FILE",
        shown="the mapping's, or view, cart, checkout, purchase",
    )
    funnel_max_time: int | None = flag(
        SESSIONS, "from the first stage to the last at the most", parse=duration, shown="as the funnel says: 1h"
    )
    abandon_after: int = flag(SESSIONS, "silence after which a cart is abandoned", 1_800_000, parse=duration)


@dataclass(frozen=True)
class SessionAnalytics:
    """Job 2: sessions, funnels, page transitions and abandonment alerts of visitors."""

    sessions: Sessionize
    transitions: TotalRows
    funnels: TotalFunnels
    bots: Bots
    dedup: Deduplicate | None

    @property
    def alert_rules(self) -> Mapping[str, Collection[str]]:
        """None of its own: those of carts are the same for everybody."""
        return {"abandonment_alerts": ()}

    def build(self, scope: "eco.JobScope") -> None:
        """Compose the pipeline."""
        visitors = scope.visitors(self.sessions.inputs, self.bots, self.dedup)
        base = scope.intake.enrich.step(CurrencyStep).base
        found = visitors | eco.SessionizeEvents(self.sessions, fixed={"base_currency": base})
        scope.follow(eco.COUNTED)
        scope.account("held", found["session_events"], "held")
        scope.account("late_events", found["late_events"])
        scope.account("session_events", found["session_events"])
        transitions = found["transition_parts"] | eco.Keyed(self.transitions)
        funnel = self.funnels.funnel
        fixed = {"funnel_stages": funnel.told, "funnel_window": f"{funnel.window} ms"}
        funnels = found["funnel_parts"] | eco.Keyed(self.funnels, fixed=fixed)
        made = {**found, **transitions, **funnels}
        for spec in self.tables:
            scope.write(spec, made[spec.name])

    @property
    def tables(self) -> Sequence[TableSpec]:
        """What it writes."""
        step = self.sessions.outputs
        return (
            TableSpec(
                "sessions",
                step["sessions"],
                "session_start",
                warehouse=True,
                revised=True,
                key=("visitor",),
                asked_by=("visitor",),
            ),
            TableSpec("session_events", step["session_events"], "event_time", ids=("session",)),
            TableSpec(
                "funnels",
                self.funnels.outputs["funnels"],
                "window_start",
                warehouse=True,
                revised=True,
                asked_by=("scope", "mode", "segment"),
            ),
            TableSpec(
                "abandonment_alerts",
                step["abandonment_alerts"],
                "abandoned_at",
                warehouse=True,
                revised=True,
                asked_by=("status",),
            ),
            TableSpec("page_transitions", self.transitions.outputs["page_transitions"], "window_start"),
        )


def make(settings: Settings[SessionSettings], intake: Intake) -> SessionAnalytics:
    """The job that a user asked for; UserError names what does not fit."""
    own = settings.own
    funnel = _funnel(own, intake.mapping.funnel if intake.mapping else "default")
    try:
        sessions = Sessionize(
            gap=own.session_gap,
            longest=own.session_max,
            updates=own.session_updates,
            parts=(TrackFunnels(funnel), WatchCarts(after=own.abandon_after)),
        )
    except ValueError as error:
        raise UserError(f"--session_gap, --session_max, --abandon_after: {error}") from None
    return SessionAnalytics(
        sessions=sessions,
        transitions=total_transitions(lag=sessions.gap),
        funnels=TotalFunnels(funnel, sessions.gap),
        bots=own.bots,
        dedup=own.deduplication(settings.time, intake.mapping),
    )


def _funnel(own: SessionSettings, shipped: str) -> Funnel:
    try:
        funnel = read_config("--funnel", own.funnel, parse_funnel) if own.funnel else shipped_funnel(shipped)
        return funnel if own.funnel_max_time is None else dataclasses.replace(funnel, max_time=own.funnel_max_time)
    except ConfigError as error:
        raise UserError(f"--funnel: {error}") from None


SPEC: Final = JobSpec(
    "session_analytics",
    "Sessions, conversion funnels and abandonment alerts of a shop's visitors.",
    SessionSettings,
    make,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
