"""Events through each job on Spark's `local[2]`, in process, and through Structured Streaming's nearest equivalent.

`ECOMPULSE_BENCH_EVENTS` (1,000,000) says how many. The equivalents do much less: see `peers/spark.py`. CPU is that of
the whole tree of processes, start included.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.enrichment import make_shop
from benchmarks.measure import Cost, table, tree
from benchmarks.peers.engines import JOBS, QUIET, Place, ours, spark
from benchmarks.peers.environment import peers_python

EVENTS: Final = int(os.environ.get("ECOMPULSE_BENCH_EVENTS", "1000000"))
ON_SPARK: Final = ("--runner=PySparkRunner", "--spark_master=local[2]", "--num_shards=2")


def costs_of(job: str, shop: Path, python: str) -> dict[str, Cost]:
    """By engine; each has a folder of its own."""
    found = {}
    environment = {**QUIET, "PYSPARK_PYTHON": sys.executable}
    with tempfile.TemporaryDirectory() as folder:
        for engine, flags in (("in process", ("--drain",)), ("local[2]", ("--drain", *ON_SPARK))):
            place = Place(shop, Path(folder) / engine.replace(" ", "_").strip("[]"))
            found[engine], _ = tree(ours(job, place, *flags), environment)
        found["Structured Streaming"] = spark(python).run(job, Place(shop, Path(folder) / "streaming"))
    return found


def run() -> None:
    """Measure and print."""
    rows, python = [], peers_python()
    with tempfile.TemporaryDirectory() as folder:
        shop, many = make_shop(Path(folder), EVENTS)
        print(f"{many:,} events\n")
        for job in JOBS:
            costs = costs_of(job, shop, python)
            shown = [f"{cost.cpu:.0f} / {cost.wall:.0f}" for cost in costs.values()]
            theirs = costs["Structured Streaming"].cpu
            ratios = [f"{theirs / costs[engine].cpu:.1f}x" for engine in ("local[2]", "in process")]
            rows.append((job, *shown, *ratios))
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
