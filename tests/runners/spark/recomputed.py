"""A pipeline that an executor's death makes void; run as a program: MASTER FOLDER SHAPE [unchecked].

Task 0 of the stage after a shuffle goes through; the others wait until the file `go` is there. Whoever starts this
kills, meanwhile, an executor whose output task 0 has read. What came out is the file `found`: numbers, sorted.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import apache_beam as beam
from pyspark import TaskContext

from ecompulse.runners.spark import PySparkRunner, Recomputed, SparkSettings

NUMBERS = 400
TASKS = 4
SETTINGS = {
    "spark.shuffle.io.maxRetries": "1",
    "spark.shuffle.io.retryWait": "1s",
    "spark.ui.enabled": "false",
    "spark.executor.memory": "512m",
    # Both executors are to have something to lose.
    "spark.cores.max": "2",
    # As on two machines: what a dead executor made is gone, and not read off its disk.
    "spark.shuffle.readHostLocalDisk": "false",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
    "spark.locality.wait": "0s",
}


class Wait(beam.DoFn):
    """Passes numbers on; all tasks but the first wait."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def start_bundle(self) -> None:
        task = TaskContext.get().partitionId()
        Path(self.folder, f"task-{task}-{os.getpid()}").touch()
        while task and not Path(self.folder, "go").exists():
            time.sleep(0.05)

    def process(self, element):
        yield element


class Write(beam.DoFn):
    """Writes what came out."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def process(self, element: tuple[int, Iterable[int]]) -> None:
        Path(self.folder, "found").write_text(json.dumps(sorted(element[1])))


class TwoWays(beam.DoFn):
    """Odd numbers one way, even ones another, by chance which is which."""

    def process(self, element: int):
        chance = uuid.uuid4().int % 2
        yield beam.pvalue.TaggedOutput("left" if chance else "right", (uuid.uuid4().hex, element))


def reshuffled(numbers, folder: str):
    """Beam's own random keys."""
    return numbers | "Again" >> beam.Reshuffle() | beam.ParDo(Wait(folder))


def uuid_keyed(numbers, folder: str):
    """Keys that a function of the user's draws."""
    keyed = numbers | beam.Map(lambda number: (uuid.uuid4().hex, number))
    return keyed | beam.GroupByKey() | beam.FlatMap(lambda pair: pair[1]) | beam.ParDo(Wait(folder))


def two_outputs(numbers, folder: str):
    """A stage of two outputs, each with a shuffle of its own."""
    ways = numbers | beam.ParDo(TwoWays()).with_outputs("left", "right")
    left = ways.left | "Left" >> beam.GroupByKey() | "Left values" >> beam.FlatMap(lambda pair: pair[1])
    right = ways.right | "Right" >> beam.GroupByKey() | "Right values" >> beam.FlatMap(lambda pair: pair[1])
    return (left | beam.ParDo(Wait(folder)), right) | beam.Flatten()


SHAPES = {"reshuffled": reshuffled, "uuid_keyed": uuid_keyed, "two_outputs": two_outputs}


class Unchecked(PySparkRunner):
    """The runner with its stamps switched off."""

    verify = staticmethod(lambda _records, _tasks: {})


def main(master: str, folder: str, shape: str, *more: str) -> None:
    kind: Mapping[tuple[str, ...], type[PySparkRunner]] = {(): PySparkRunner, ("unchecked",): Unchecked}
    settings = SparkSettings(master=master, conf=SETTINGS, parallelism=TASKS)
    pipeline = beam.Pipeline(runner=kind[more](settings))
    numbers = pipeline | beam.Create(range(NUMBERS)) | "Spread" >> beam.Reshuffle()
    found = SHAPES[shape](numbers, folder)
    found | beam.Map(lambda number: (0, number)) | "All" >> beam.GroupByKey() | beam.ParDo(Write(folder))
    for attempt in range(1, 4):
        try:
            pipeline.run()
        except Recomputed as error:
            sys.stdout.write(f"void: {error}\n")
        else:
            sys.stdout.write(f"done: {attempt}\n")
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
