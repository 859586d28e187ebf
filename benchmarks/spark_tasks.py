"""What a warm Spark task costs beside the user's own code: CPU ms per task, by process; needs Java and PySpark.

The pipeline does nothing: four shuffles of twenty numbers, again and again.
"""

import logging
import os
from collections import Counter

import apache_beam as beam
import psutil

from ecompulse.runners.spark import PySparkRunner, SparkSettings

TASKS = 4
SHUFFLES = 4
WARM = 2
RUNS = 5


def run() -> None:
    """Print the table."""
    logging.getLogger().setLevel(logging.CRITICAL)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    pipeline = beam.Pipeline(runner=PySparkRunner(SparkSettings(master="local[2]", parallelism=TASKS)))
    numbers = pipeline | beam.Create(range(20))
    for step in range(SHUFFLES):
        numbers = numbers | f"Shuffle {step}" >> beam.Reshuffle()
    for _ in range(WARM):
        pipeline.run()
    before = cpu()
    for _ in range(RUNS):
        pipeline.run()
    after = cpu()
    tasks = RUNS * (1 + TASKS * (SHUFFLES + 1))  # Create shuffles once, and begins in one task
    print(f"{RUNS} warm runs of {tasks // RUNS} tasks")
    for name in after:
        print(f"  {name:16}{1000 * (after[name] - before[name]) / tasks:8.1f} ms CPU per task")


def cpu() -> Counter[str]:
    """CPU seconds so far: the driver's Python, its workers' Python, Spark's JVM."""
    found: Counter[str] = Counter()
    driver = psutil.Process()
    for process in (driver, *driver.children(recursive=True)):
        times = process.cpu_times()
        name = "driver" if process == driver else "JVM" if process.name() == "java" else "Python workers"
        found[name] += times.user + times.system
    return found
