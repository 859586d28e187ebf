"""Events through each job on Spark's `local[2]`, in process, and through Structured Streaming's nearest equivalent.

`ECOMPULSE_BENCH_EVENTS` (1,000,000) says how many. The equivalents do much less: see `spark_streaming.py`. CPU is that
of the whole tree of processes, start included.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from benchmarks.enrichment import make_shop
from benchmarks.measure import table

EVENTS: Final = int(os.environ.get("ECOMPULSE_BENCH_EVENTS", "1000000"))
JOBS: Final = ("event_enrichment", "session_analytics", "realtime_metrics", "anomaly_detection")
ROOT: Final = Path(__file__).parents[1]
EACH: Final = 0.5  # seconds between two looks


def tree(arguments: Sequence[str]) -> tuple[float, float]:
    """CPU and wall seconds of a Python program and all that it starts; RuntimeError with its last words."""
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    seen: dict[tuple[int, float], float] = {}
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=said, stderr=said)
        while child.poll() is None:
            note(child.pid, seen)
            time.sleep(EACH)
        if child.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(arguments)}: {said.read().decode()[-2000:]}")
    return sum(seen.values()), time.monotonic() - began


def note(pid: int, seen: dict[tuple[int, float], float]) -> None:
    """CPU seconds so far of a process and its descendants, by process."""
    try:
        above = psutil.Process(pid)
        for process in (above, *above.children(recursive=True)):
            times = process.cpu_times()
            seen[process.pid, process.create_time()] = times.user + times.system
    except psutil.Error:
        return  # it has just ended


def run() -> None:
    """Measure and print."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        shop, many = make_shop(out, EVENTS)
        print(f"{many:,} events\n")
        for job in JOBS:
            costs = {}
            for engine, flags in (
                ("in process", []),
                ("local[2]", ["--runner=PySparkRunner", "--spark_master=local[2]", "--num_shards=2"]),
            ):
                with tempfile.TemporaryDirectory(dir=out) as fresh:
                    given = [f"--source={shop / 'events'}", f"--enrich={shop / 'enrich.yaml'}", "--drain"]
                    given += [f"--lake={fresh}/lake", f"--checkpoint={fresh}/c", "--warehouse=none", "--progress=none"]
                    costs[engine] = tree(["-m", f"pipelines.{job}", *given, *flags])
            with tempfile.TemporaryDirectory(dir=out) as fresh:
                costs["streaming"] = tree(["-m", "benchmarks.spark_streaming", job, str(shop), fresh])
            shown = [f"{cpu:.0f} / {wall:.0f}" for cpu, wall in costs.values()]
            ratios = [costs["streaming"][0] / costs[engine][0] for engine in ("local[2]", "in process")]
            rows.append((job, *shown, *(f"{ratio:.1f}x" for ratio in ratios)))
            print(f"  {job}: {', '.join(shown)}", flush=True)
    header = (
        "CPU s / wall s",
        "in process",
        "local[2]",
        "Structured Streaming",
        "its CPU by local[2]'s",
        "by in process'",
    )
    table(header, rows)
