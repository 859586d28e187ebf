"""What an epoch of few rows costs, later in the process, on `LocalRunner`, there with all cores, on Beam's runner."""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from benchmarks.enrichment import make_shop
from benchmarks.measure import table
from ecompulse.cli.assemble import assemble
from ecompulse.cli.config import open_intake
from ecompulse.cli.job import JobSpec
from ecompulse.cli.settings import read_settings
from ecompulse.cli.sources import open_sources
from ecompulse.runners.engine import IN_PROCESS, LOCAL
from ecompulse.runners.quiet import quiet
from pipelines import anomaly_detection, event_enrichment, realtime_metrics, session_analytics

EPOCHS: Final = 16
JOBS: Final = (event_enrichment, session_analytics, realtime_metrics, anomaly_detection)
ROWS: Final = (1, 3_000)  # an epoch: the second is a second of the latency benchmark
ENGINES: Final = {LOCAL: (LOCAL, True), f"{LOCAL}, all cores": (LOCAL, False), IN_PROCESS[0]: (IN_PROCESS[0], False)}
"""Name to runner, and whether short epochs may keep to one core."""


def epochs_of(
    spec: JobSpec[Any], lines: Iterable[bytes], rows: int, runner: str, folder: Path, *, one_core: bool = True
) -> list[dict[str, Any]]:
    """Progress of epochs of some rows each, in one process, with the CPU ms of each as `cpu`."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.jsonl").write_bytes(b"".join(islice(lines, rows * EPOCHS)))
    flags = [f"--source={folder / 'in'}", f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}"]
    flags += ["--warehouse=none", f"--max_records_per_epoch={rows}", f"--runner={runner}"]
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
        if not one_core:
            driver.during = nullcontext
        driver.start()
    return [progress for progress in told if progress["numInputRows"]]


def read_lines(folder: Path) -> Iterable[bytes]:
    """The lines of all files, in order."""
    return chain.from_iterable(path.open("rb") for path in sorted(folder.iterdir()))


def run() -> None:
    """Measure and print."""
    quiet()
    measured = []
    with tempfile.TemporaryDirectory() as shops:
        events = make_shop(Path(shops), max(ROWS) * EPOCHS)[0] / "events"
        for rows in ROWS:
            for job in JOBS:
                for name, (runner, one_core) in ENGINES.items():
                    with tempfile.TemporaryDirectory() as folder:
                        lines = read_lines(events)
                        epochs = epochs_of(job.SPEC, lines, rows, runner, Path(folder), one_core=one_core)
                    measured.append((rows, job.SPEC.name, name, *_medians(epochs)))
    table(("rows", "job", "runner", "first epoch ms", "plan", "run", "seal", "publish", "total ms", "CPU ms"), measured)


def _medians(epochs: list[dict[str, Any]]) -> tuple[str, ...]:
    """What the first epoch took, and the median of later ones."""
    later = epochs[2:]  # the second is the first that can be on one core
    phases = ("plan", "run", "seal", "publish", "total")
    times = [statistics.median(progress["durationMs"].get(phase, 0) for progress in later) for phase in phases]
    cpu = statistics.median(progress["cpu"] for progress in later)
    return (str(epochs[0]["durationMs"]["total"]), *(f"{ms:.0f}" for ms in (*times, cpu)))
