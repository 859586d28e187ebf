"""A warm epoch of one row and of 50,000, of each job: in process, on Spark's `local[2]`, on a cluster of two workers.

An epoch without any row is not planned, so one row stands for it. CPU is that of the whole tree of processes, and of
the cluster's.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.epochs import JOBS, event
from benchmarks.measure import table
from ecompulse.cli.assemble import assemble
from ecompulse.cli.config import open_intake
from ecompulse.cli.job import JobSpec
from ecompulse.cli.settings import read_settings
from ecompulse.cli.sources import open_sources
from ecompulse.runners.quiet import quiet

ROOT: Final = Path(__file__).parents[1]
SIZES: Final = (1, 50_000)
EPOCHS: Final = 5
WARM: Final = 2
"""Epochs that are not counted."""


def cpu(pids: list[int]) -> float:
    """Seconds so far of these processes and their descendants."""
    total = 0.0
    for pid in pids:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def epochs(spec: JobSpec[Any], folder: Path, size: int, flags: list[str], pids: list[int]) -> list[tuple[float, float]]:
    """Wall and CPU seconds of epochs of `size` rows each, in this process, the first ones left out."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.jsonl").write_text("".join(event(number) for number in range(size * EPOCHS)))
    given = [f"--source={folder / 'in'}", f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}", *flags]
    given += ["--warehouse=none", f"--max_records_per_epoch={size}", "--num_shards=2"]
    settings = read_settings("", "", spec.settings, given)
    intake = open_intake(settings.inputs, settings.lookups, settings.time)
    found, used = [], [0.0]

    def report(progress: Any) -> None:
        used.append(cpu(pids))
        if progress["numInputRows"]:
            found.append((progress["durationMs"]["total"] / 1000, used[-1] - used[-2]))

    job = spec.make(settings, intake)
    with assemble(spec.name, job.build, intake, open_sources(settings), settings, threading.Event()) as driver:
        driver.report = report
        driver.start()
    return found[WARM:]


def measure(flags: list[str], pids: list[int]) -> None:
    """All jobs and sizes on one engine, as lines of JSON; in a process of its own, since Spark is one per process."""
    quiet()
    for job in JOBS:
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                found = epochs(job.SPEC, Path(folder), size, flags, [os.getpid(), *pids])
            wall, used = (statistics.median(values) for values in zip(*found, strict=True))
            print(json.dumps([job.SPEC.name, size, wall, used]), flush=True)


@contextmanager
def engines() -> Iterator[dict[str, tuple[list[str], list[int]]]]:
    """Name to flags, and processes beside the driver's own."""
    sys.path.append(str(ROOT / "tests"))
    from services import spark  # noqa: PLC0415  # the cluster that the tests start

    spark_flags = ["--runner=PySparkRunner", "--spark_conf=spark.ui.enabled=false"]
    with tempfile.TemporaryDirectory() as folder:
        cluster = spark.start(Path(folder) / "cluster")
        try:
            on = [f"--spark_master={cluster.url}", "--shared_filesystem", "--spark_conf=spark.executor.memory=1g"]
            pids = [cluster.master.pid, *(worker.pid for worker in cluster.workers)]
            yield {
                "in process": ([], []),
                "local[2]": ([*spark_flags, "--spark_master=local[2]"], []),
                "cluster": ([*spark_flags, *on], pids),
            }
        finally:
            cluster.stop()


def run() -> None:
    """Measure and print."""
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    rows: dict[tuple[str, int], list[str]] = {}
    with engines() as known:
        for flags, pids in known.values():
            command = [sys.executable, "-m", "benchmarks.spark_epochs", json.dumps(flags), json.dumps(pids)]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            for line in done.stdout.splitlines():
                job, size, wall, used = json.loads(line)
                rows.setdefault((job, size), []).append(f"{used:.2f} / {wall:.2f}")
        table(
            ("warm epoch, CPU s / wall s", "rows", *known), [(job, size, *cells) for (job, size), cells in rows.items()]
        )


if __name__ == "__main__":
    measure(*map(json.loads, sys.argv[1:]))
