"""A fifth job: which landing pages lose their visitors? `python examples/landing_pages.py --source=FILES`."""

import sys
from typing import Any

import polars as pl

from ecompulse.epochs.job import ComposedJob
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import TableSpec
from ecompulse.kernels.sessions.kernel import Sessionize
from pipelines.intake import open_intake
from pipelines.launch import JobSpec, main
from pipelines.visitors import LAG, Visitors


def make(options: Any) -> ComposedJob:
    intake, sessions = open_intake(options), Sessionize()
    visitors = Visitors(intake, "exclude", sessions.inputs)
    bounces = TableSpec("bounces", sessions.outputs["sessions"], "start")

    def build(scope: Any) -> None:
        from ecompulse.transforms.frames import map_frames
        from ecompulse.transforms.sessionize import SessionizeEvents

        taken = visitors.read(scope)
        found = taken.events | SessionizeEvents(sessions, scope.state(sessions))
        scope.write(bounces, found["sessions"] | map_frames(pl.DataFrame.filter, pl.col("bounced")))
        intake.finish(scope, taken)

    operators = (*visitors.operators, *intake.operators, Operator(sessions, LAG))
    return ComposedJob("landing_pages", (bounces, *intake.tables), operators, build)


if __name__ == "__main__":
    sys.exit(main(JobSpec("landing_pages", "Bounced sessions by landing page.", (), make)))
