"""`python -m pipelines.session_analytics`: sessions, funnels, abandonment."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import TableSpec
from ecompulse.kernels.abandonment import WatchCarts
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.funnels.definition import Funnel, parse_funnel, shipped_funnel
from ecompulse.kernels.funnels.totals import TotalFunnels
from ecompulse.kernels.funnels.track import TrackFunnels
from ecompulse.kernels.quality_totals import count_late
from ecompulse.kernels.sessions.kernel import Sessionize
from ecompulse.kernels.sessions.totals import TotalTransitions
from pipelines.common import BOTS, DEDUP
from pipelines.config import read_config
from pipelines.flags import Flag, Options, duration
from pipelines.intake import deduplication, open_intake
from pipelines.launch import JobSpec
from pipelines.launch import main as launch
from pipelines.visitors import COUNTED, LAG, Visitors

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope

SESSIONS: Final = "sessions"

FLAGS: Final = (
    BOTS,
    *DEDUP,
    Flag(
        "session_gap",
        SESSIONS,
        "silence that ends a session; a distance equal to it starts a new one",
        default=1_800_000,
        parse=duration,
        shown="30m",
    ),
    Flag(
        "session_max",
        SESSIONS,
        "longest session, 0s for any; a longer one is cut",
        default=86_400_000,
        parse=duration,
        shown="24h",
    ),
    Flag("session_updates", SESSIONS, "early revisions of open sessions", default=False, switch=True),
    Flag("funnel", SESSIONS, "YAML file of the funnel", shown="the mapping's, or view, cart, checkout, purchase"),
    Flag(
        "funnel_max_time",
        SESSIONS,
        "from the first stage to the last at the most",
        parse=duration,
        shown="as the funnel says: 1h",
    ),
    Flag(
        "abandon_after",
        SESSIONS,
        "silence after which a cart is abandoned",
        default=1_800_000,
        parse=duration,
        shown="30m",
    ),
)


@dataclass(frozen=True)
class SessionAnalytics:
    """Job 2: sessions, funnels, page transitions and abandonment alerts of visitors."""

    visitors: Visitors
    sessions: Sessionize
    transitions: TotalTransitions
    funnels: TotalFunnels
    name: str = "session_analytics"

    @property
    def tables(self) -> Sequence[TableSpec]:
        """Outputs."""
        step = self.sessions.outputs
        return (
            TableSpec("sessions", step["sessions"], "start", warehouse=True, revised=True, key=("visitor",)),
            TableSpec("session_events", step["session_events"], "event_time", ids=("session",)),
            TableSpec("funnels", self.funnels.outputs["funnels"], "window_start", warehouse=True, revised=True),
            TableSpec("abandonment_alerts", step["abandonment_alerts"], "abandoned_at", warehouse=True, revised=True),
            TableSpec("page_transitions", self.transitions.outputs["page_transitions"], "window_start"),
            TableSpec("late_events", step["late_events"], "event_time"),
            *self.visitors.intake.tables,
        )

    @property
    def operators(self) -> Sequence[Operator]:
        """Keyed operators."""
        behind = (self.sessions, self.transitions, self.funnels, self.visitors.intake.quality)
        return (*self.visitors.operators, *(Operator(kernel, LAG) for kernel in behind))

    def build(self, scope: "Scope") -> None:
        """Compose the pipeline."""
        from ecompulse.epochs.keyed import Keyed
        from ecompulse.transforms.frames import map_frames
        from ecompulse.transforms.sessionize import SessionizeEvents

        taken = self.visitors.read(scope)
        found = taken.events | SessionizeEvents(self.sessions, scope.state(self.sessions))
        scope.follow(COUNTED)
        for account in (
            ("held", found["session_events"], "held"),
            ("late_events", found["late_events"]),
            ("session_events", found["session_events"]),
        ):
            scope.account(*account)
        parts = found["transition_parts"] | "TotalTransitions" >> Keyed(self.transitions, scope.state(self.transitions))
        funnels = found["funnel_parts"] | "TotalFunnels" >> Keyed(self.funnels, scope.state(self.funnels))
        made = {**found, **parts, **funnels}
        for spec in self.tables:
            if spec.name in made:
                scope.write(spec, made[spec.name])
        window = self.visitors.intake.quality.window_ms
        taken.quality.append(found["late_events"] | "CountLate" >> map_frames(count_late, window))
        self.visitors.intake.finish(scope, taken)


def make(options: Options) -> SessionAnalytics:
    """The job that a user asked for; UserError names what does not fit."""
    intake = open_intake(options)
    funnel = _funnel(options, intake.mapping.funnel if intake.mapping else "default")
    try:
        sessions = Sessionize(
            gap=options.session_gap,
            longest=options.session_max,
            updates=options.session_updates,
            parts=(TrackFunnels(funnel), WatchCarts(after=options.abandon_after)),
        )
    except ValueError as error:
        raise UserError(f"--session_gap, --session_max, --abandon_after: {error}") from None
    return SessionAnalytics(
        visitors=Visitors(intake, options.bots, sessions.inputs, deduplication(options)),
        sessions=sessions,
        transitions=TotalTransitions(lag=sessions.gap),
        funnels=TotalFunnels(funnel, sessions.gap),
    )


def _funnel(options: Options, shipped: str) -> Funnel:
    given, longest = options.funnel, options.funnel_max_time
    try:
        funnel = read_config("--funnel", given, parse_funnel) if given else shipped_funnel(shipped)
        return funnel if longest is None else dataclasses.replace(funnel, max_time=longest)
    except ConfigError as error:
        raise UserError(f"--funnel: {error}") from None


SPEC: Final = JobSpec(
    "session_analytics", "Sessions, conversion funnels and abandonment alerts of a shop's visitors.", FLAGS, make
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
