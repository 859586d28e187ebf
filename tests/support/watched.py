"""event_enrichment whose events are in the warehouse as well, leaving a trace of its steps; run as a program.

With events in every sink, a sequence can be followed through each of them. All else is the job's own.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ecompulse.cli.launch import main as launch
from ecompulse.cli.settings import Settings
from ecompulse.epochs.steps import Step, observe
from ecompulse.intake import Intake
from pipelines import event_enrichment

TRACE: Final = "ECOMPULSE_TEST_TRACE"
"""Environment variable: file that gets a line per step, which a killed process leaves behind."""

SLEEP_AT: Final = "ECOMPULSE_TEST_SLEEP_AT"
"""Environment variable `step:occurrence`: the process stops itself there (SIGSTOP)."""


def make(settings: Settings[event_enrichment.EnrichmentSettings], intake: Intake) -> event_enrichment.EventEnrichment:
    """The job, its events in the warehouse."""
    job = event_enrichment.make(settings, intake)
    return replace(job, enriched=replace(job.enriched, warehouse=True))


SPEC: Final = replace(event_enrichment.SPEC, make=make)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job."""
    return launch(SPEC, argv)


def trace(path: str) -> None:
    """Write down when each step is reached, in nanoseconds of the machine's clock."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    observe(lambda step: void(os.write(file, f"{time.time_ns()} {step.value}\n".encode())))


def sleep_at(wanted: str) -> None:
    """Stop this process once, when it reaches the step."""
    name, _, occurrence = wanted.partition(":")
    left = int(occurrence)

    def see(step: Step) -> None:
        nonlocal left
        left -= step.value == name
        if step.value == name and left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)

    observe(see)


def void(_value: object) -> None:
    """Nothing of it."""


if __name__ == "__main__":
    if os.environ.get(TRACE):
        trace(os.environ[TRACE])
    if os.environ.get(SLEEP_AT):
        sleep_at(os.environ[SLEEP_AT])
    sys.exit(main())
