"""The parts of a plan that go into a pipeline: ranges to read, heads of shards, frames that are made each epoch."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.counted import FACTS, CountedDoFn, fact
from ecompulse.epochs.latency import measured
from ecompulse.epochs.plan import CURRENT, Plan
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.reading import grouped
from ecompulse.epochs.shard_input import ShardInput
from ecompulse.epochs.telemetry import telemetry
from ecompulse.kernels.step import Clock


class ReadPlan(CountedDoFn):
    """Reads the plan of the current run: ranges by role, state heads by operator; no rows."""

    audited = False

    def __init__(self, store: Store) -> None:
        """Settings only."""
        self._store = store

    def process(self, element: bytes) -> Iterable[Any]:
        """Tagged outputs; see `emit_plan`."""
        del element
        current = json.loads(self._store.get(CURRENT))
        plan = Plan.load(self._store.get(f"{current['folder']}/plan.json"))
        yield from emit_plan(plan)


def emit_plan(plan: Plan) -> Iterable[Any]:
    """Ranges under `splits.<role>`, small ones together with the clock, and each shard's head under `heads.<operator>`.

    Also emits once each: the `clock`, what was `measured` of the last epoch, and the known `facts`.
    """
    clock = plan.clock.__dict__
    threads = max(map(len, plan.state.values()), default=1)  # about: as many as there are shards
    for role, group in grouped(plan.splits, plan.roles, threads):
        splits = [[index, plan.splits[index].__dict__] for index in group]
        yield beam.pvalue.TaggedOutput(f"splits.{role}", json.dumps([splits, clock]).encode())
    for operator, shards in plan.state.items():
        for shard, head in shards.items():
            lagging = {**clock, "watermark": plan.watermarks[operator]}
            found = {"clock": lagging, "attempt": plan.attempt, "head": head}
            yield beam.pvalue.TaggedOutput(f"heads.{operator}", (int(shard), ShardInput(head=found)))
    yield beam.pvalue.TaggedOutput("clock", json.dumps(clock).encode())
    if plan.measured:
        yield beam.pvalue.TaggedOutput("measured", json.dumps(plan.measured).encode())
    yield beam.pvalue.TaggedOutput(FACTS, fact({"folder": plan.folder}))


class MakeFrame(CountedDoFn):
    """The epoch's clock to a frame."""

    audited = False

    def __init__(self, function: Callable[..., pl.DataFrame], arguments: tuple[Any, ...]) -> None:
        """Settings only."""
        self._function = function
        self._arguments = arguments

    def process(self, element: bytes) -> Iterable[pl.DataFrame]:
        """Nothing for an empty frame."""
        made = self._function(Clock(**json.loads(element)), *self._arguments)
        if not made.is_empty():
            yield self.counted(made)


class MakeMeasured(CountedDoFn):
    """What the driver measured to a frame."""

    audited = False

    def process(self, element: bytes) -> Iterable[pl.DataFrame]:
        """One frame."""
        yield self.counted(measured(json.loads(element)))


class Tell(CountedDoFn):
    """Frames of names and values to facts."""

    def __init__(self, part: str) -> None:
        """`part`: of the job; see `telemetry`."""
        self._part = part

    def process(self, element: pl.DataFrame) -> Iterable[Any]:
        """One fact a frame."""
        self.came(element.height)
        gauges = {name: (0, value) for name, value in element.iter_rows()}
        yield beam.pvalue.TaggedOutput(FACTS, fact(telemetry(self._part, {}, gauges)))
