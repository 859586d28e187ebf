"""What an epoch of one row costs, later in the process, on LocalRunner and on Beam's own runner in one process."""

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import table
from ecompulse.cli.assemble import assemble
from ecompulse.cli.config import open_intake
from ecompulse.cli.job import JobSpec
from ecompulse.cli.settings import read_settings
from ecompulse.cli.sources import open_sources
from ecompulse.runners.engine import IN_PROCESS, LOCAL
from ecompulse.runners.quiet import quiet
from pipelines import anomaly_detection, event_enrichment, realtime_metrics, session_analytics

EPOCHS = 12
JOBS = (event_enrichment, session_analytics, realtime_metrics, anomaly_detection)


def event(number: int) -> str:
    """One event."""
    at = 1_700_000_000_000 + number * 1000
    return json.dumps({"event_id": f"e{number}", "event_type": "page_view", "event_time": at, "user_id": "u"}) + "\n"


def epochs_of_one_row(spec: JobSpec[Any], runner: str, folder: Path) -> list[dict[str, Any]]:
    """Progress of epochs of one row each, in one process, with the CPU ms of each as `cpu`."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.jsonl").write_text("".join(event(number) for number in range(EPOCHS)))
    flags = [f"--source={folder / 'in'}", f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}"]
    flags += ["--warehouse=none", "--max_records_per_epoch=1", f"--runner={runner}"]
    settings = read_settings("", "", spec.settings, flags)
    intake = open_intake(settings.inputs, settings.lookups, settings.time)
    sources = open_sources(settings)
    told: list[dict[str, Any]] = []
    used = [time.process_time()]

    def report(progress: Any) -> None:
        used.append(time.process_time())
        told.append({**progress, "cpu": (used[-1] - used[-2]) * 1000})

    job = spec.make(settings, intake)
    with assemble(spec.name, job.build, intake, sources, settings, threading.Event()) as driver:
        driver.report = report
        driver.start()
    return [progress for progress in told if progress["numInputRows"]]


def run() -> None:
    """Measure and print."""
    quiet()
    rows = []
    for job in JOBS:
        for runner in (LOCAL, IN_PROCESS[0]):
            with tempfile.TemporaryDirectory() as folder:
                told = epochs_of_one_row(job.SPEC, runner, Path(folder))
            later = told[1:]
            phases = [
                statistics.median(progress["durationMs"].get(phase, 0) for progress in later)
                for phase in ("plan", "run", "seal", "publish", "total")
            ]
            cpu = statistics.median(progress["cpu"] for progress in later)
            first = told[0]["durationMs"]["total"]
            rows.append((job.SPEC.name, runner, first, *(f"{ms:.0f}" for ms in phases), f"{cpu:.0f}"))
    table(("job", "runner", "first epoch ms", "later: plan", "run", "seal", "publish", "total ms", "CPU ms"), rows)
