"""A fifth job: which landing pages lose their visitors? `python examples/landing_pages.py --source=FILES`."""

import sys
from dataclasses import dataclass
from typing import Any

import polars as pl

from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import TableSpec
from ecompulse.kernels.sessions.kernel import Sessionize
from pipelines.intake import open_intake
from pipelines.launch import JobSpec, main
from pipelines.visitors import LAG, Visitors

COLUMNS = ("id", "start", "entry_url", "channel", "device")


@dataclass(frozen=True)
class LandingPages:
    visitors: Visitors
    sessions: Sessionize
    name: str = "landing_pages"

    @property
    def tables(self) -> list[TableSpec]:
        schema = pl.Schema({name: self.sessions.outputs["sessions"][name] for name in COLUMNS})
        return [TableSpec("bounces", schema, "start"), *self.visitors.intake.tables]

    @property
    def operators(self) -> list[Operator]:
        return [*self.visitors.operators, Operator(self.sessions, LAG)]

    def build(self, scope: Any) -> None:
        from ecompulse.transforms.frames import map_frames
        from ecompulse.transforms.sessionize import SessionizeEvents

        taken = self.visitors.read(scope)
        found = taken.events | SessionizeEvents(self.sessions, scope.state(self.sessions))
        scope.write(self.tables[0], found["sessions"] | map_frames(pl.DataFrame.filter, pl.col("bounced")))
        self.visitors.intake.finish(scope, taken)


def make(options: Any) -> LandingPages:
    return LandingPages(Visitors(open_intake(options), "exclude", (kernel := Sessionize()).inputs), kernel)


if __name__ == "__main__":
    sys.exit(main(JobSpec("landing_pages", "Bounced sessions by landing page.", (), make)))
