"""What an epoch costs: of one row, second in the process."""

import json
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks.measure import table
from ecompulse.runners.quiet import quiet
from pipelines import event_enrichment, session_analytics
from pipelines.assemble import assemble
from pipelines.common import COMMON
from pipelines.flags import parse
from pipelines.launch import JobSpec, open_sources

EPOCHS = 12


def event(number: int) -> str:
    """One event."""
    at = 1_700_000_000_000 + number * 1000
    return json.dumps({"event_id": f"e{number}", "event_type": "page_view", "event_time": at, "user_id": "u"}) + "\n"


def epochs_of_one_row(spec: JobSpec, folder: Path) -> list[dict[str, Any]]:
    """Progress of epochs of one row each, in one process."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.jsonl").write_text("".join(event(number) for number in range(EPOCHS)))
    flags = [f"--source={folder / 'in'}", f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}"]
    options = parse("", "", (*COMMON, *spec.flags), [*flags, "--warehouse=none", "--max_records_per_epoch=1"])
    sources = open_sources(spec, options)
    told: list[dict[str, Any]] = []
    with assemble(spec.make(options), sources, options, threading.Event()) as driver:
        driver.report = lambda progress: told.append(dict(progress))
        driver.start()
    return [progress for progress in told if progress["numInputRows"]]


def run() -> None:
    """Measure and print."""
    quiet()
    rows = []
    for spec in (event_enrichment.SPEC, session_analytics.SPEC):
        with tempfile.TemporaryDirectory() as folder:
            told = epochs_of_one_row(spec, Path(folder))
        later = told[1:]
        phases = {
            phase: statistics.median(progress["durationMs"].get(phase, 0) for progress in later)
            for phase in ("plan", "run", "seal", "publish", "total")
        }
        rows.append((spec.name, told[0]["durationMs"]["total"], *(f"{ms:.0f}" for ms in phases.values())))
    table(("job", "first epoch ms", "later: plan", "run", "seal", "publish", "total ms"), rows)
