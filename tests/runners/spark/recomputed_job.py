"""A whole job that an executor's death makes void; run as a program: MASTER FOLDER JOB NETS [flags].

What is read next to the plan waits where the plan was made, until the file `go` is there; elsewhere it goes through.
Whoever starts this kills, meanwhile, the executor that made the plan: what is left reads another plan's shares, since
the keys of a Reshuffle are random. NETS are what is to notice it: `stamps`, `audit` or `none`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Final

from pyspark import TaskContext
from recomputed import SETTINGS, TASKS  # beside this program

from ecompulse.epochs import driver, scope
from ecompulse.epochs.planned import ReadPlan
from ecompulse.epochs.reading import ReadRows
from ecompulse.runners.spark import PySparkRunner
from pipelines import anomaly_detection, event_enrichment, realtime_metrics, session_analytics

JOBS: Final = {job.SPEC.name: job for job in (event_enrichment, session_analytics, realtime_metrics, anomaly_detection)}


class Plan(ReadPlan):
    """Says in which executor it was: the parent of its Python workers."""

    folder = ""

    def process(self, element):
        Path(self.folder, f"planned-{os.getppid()}").touch()
        yield from super().process(element)


class Read(ReadRows):
    """Waits in the executor of the plan."""

    folder = ""

    def start_bundle(self):
        super().start_bundle()
        task, there = TaskContext.get().partitionId(), Path(self.folder, f"planned-{os.getppid()}").exists()
        Path(self.folder, f"{'held' if there else 'read'}-{task}").touch()
        while there and not Path(self.folder, "go").exists():
            time.sleep(0.05)


def main(master: str, folder: str, job: str, nets: str, *flags: str) -> int:
    """Run the job; its exit status."""
    Plan.folder = Read.folder = folder
    scope.ReadPlan, scope.ReadRows = Plan, Read
    if nets != "stamps":
        PySparkRunner.verify = staticmethod(lambda _records, _tasks: {})
    if nets == "none":
        driver.misfits = lambda _plan, _manifest, _graph: []
    on = [f"--spark_conf={key}={value}" for key, value in SETTINGS.items()]
    on += ["--runner=PySparkRunner", f"--spark_master={master}", "--shared_filesystem", f"--num_shards={TASKS}"]
    return JOBS[job].main([*flags, *on])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
