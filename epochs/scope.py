"""`Scope`: an epoch's pipeline as a job composes it. The pipeline is built once and run for every epoch."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.audit import Graph, Nodes, Term, terms_of
from ecompulse.epochs.clocked import MapUnderClock
from ecompulse.epochs.coders import FrameCoder  # noqa: F401  # registers the coder of frames
from ecompulse.epochs.counted import FACT, FACTS, CountedDoFn, CountedParDo, counted_frames, fact
from ecompulse.epochs.keyed import HEAD, SHARDED, Binding
from ecompulse.epochs.latency import measured
from ecompulse.epochs.manifest import WriteManifest
from ecompulse.epochs.plan import CURRENT, Plan
from ecompulse.epochs.protocols import EVENTS, Reader, Store, TableSpec
from ecompulse.epochs.reading import Decode, ReadRows, grouped
from ecompulse.epochs.tables import WriteTable
from ecompulse.kernels.step import Clock, Kernel


@dataclass(frozen=True)
class Workspace:
    """Where a job's workers read and write; picklable.

    Attributes:
        checkpoint: store of plans, manifests and state.
        outputs: store below which output files are written.
        job: name of the job.
        checkpoint_id: id of the checkpoint.
        num_shards: shards of keyed state.
        instance: see `Owner`.
    """

    checkpoint: Store
    outputs: Store
    job: str
    checkpoint_id: str
    num_shards: int
    instance: str | None = None


class Scope:
    """One job's pipeline under construction.

    Every PCollection is bounded and holds frames. What the driver must know of a run (files, state, event times)
    is collected as facts and ends in one manifest, written by the run itself.
    """

    def __init__(self, pipeline: beam.Pipeline, space: Workspace, readers: Sequence[tuple[str, Reader]]) -> None:
        """`readers`: role and reader of each source."""
        self._space = space
        self._readers = readers
        self._pipeline = pipeline
        self._writes: dict[str, tuple[TableSpec, list[Any]]] = {}
        self._accounts: dict[str, list[Any]] = {}
        self._root = pipeline | "Impulse" >> beam.Impulse()

    @property
    def store(self) -> Store:
        """Of the checkpoint: where rows may wait within a run."""
        return self._space.checkpoint

    @cached_property
    def _plan(self) -> Any:
        return self._root | "ReadPlan" >> beam.ParDo(ReadPlan(self._space.checkpoint)).with_outputs()

    def _planned(self, tag: str, of: Any = bytes) -> Any:
        """An output of the plan, with its type; which ones there are is known only as the job is composed."""
        found = self._plan[tag]
        found.element_type = of
        return found

    def read(self, decode: Decode, role: str = EVENTS, outputs: Sequence[str] = (EVENTS,)) -> dict[str, Any]:
        """The rows of this epoch, decoded: PCollections of frames by output name."""
        readers = [reader if its == role else None for its, reader in self._readers]
        splits = self._planned(f"splits.{role}") | f"Spread {role}" >> beam.Reshuffle()
        reading = ReadRows(readers, decode, role == EVENTS)
        read = splits | f"Read {role}" >> CountedParDo(reading, tags=dict.fromkeys(outputs, pl.DataFrame))
        return {name: read[name] for name in outputs}

    def state(self, kernel: Kernel) -> Binding:
        """The epoch's state of a keyed operator."""
        heads = self._planned(f"heads.{kernel.name}", SHARDED)
        return Binding(heads, self._space.checkpoint, self._space.num_shards)

    def under_clock(self, kernel: Kernel, function: Callable[..., pl.DataFrame], *arguments: Any) -> Any:
        """A transform that applies `function(frame, clock, *arguments)`, under the clock of a keyed operator."""
        return MapUnderClock(self._space.checkpoint, kernel.name, function, *arguments)

    def each_epoch(self, name: str, function: Callable[..., pl.DataFrame], *arguments: Any) -> Any:
        """One frame per epoch, `function(clock, *arguments)`, whether rows came or not."""
        return self._planned("clock") | name >> counted_frames(MakeFrame(function, arguments))

    @property
    def measured(self) -> Any:
        """What the driver measured at the commit before this epoch (MEASURED_SCHEMA)."""
        return self._planned("measured") | "Measured" >> counted_frames(MakeMeasured())

    def tell_models(self, frames: Any) -> None:
        """Frames of names and values that the progress shows of models."""
        frames | "Facts of models" >> CountedParDo(TellModels(), tags={})

    def account(self, name: str, frames: Any, *tags: str) -> None:
        """Say where rows that were read end: as these frames, or under other `tags` of the transform that makes them.

        The accounts of a job are to be all rows that it reads; no epoch is sealed in which they are not.
        """
        self._accounts.setdefault(name, []).append((frames, tags))

    def follow(self, name: str) -> None:
        """Take an account back: what becomes of its rows is said further on."""
        del self._accounts[name]

    def write(self, spec: TableSpec, *frames: Any) -> None:
        """Write frames as this epoch's rows of a table; they become visible when the epoch is published."""
        self._writes.setdefault(spec.name, (spec, []))[1].extend(frames)

    def finish(self) -> Graph:
        """End the pipeline: all facts into one manifest; returns what its audit goes by."""
        tables = {}
        for spec, frames in self._writes.values():
            rows = tuple(frames) | f"Rows of {spec.name}" >> beam.Flatten() if len(frames) > 1 else frames[0]
            tables[spec.name] = f"Write {spec.name}"
            rows | tables[spec.name] >> CountedParDo(WriteTable(spec, self._space), tags={})
        self._planned(FACTS, FACT)
        nodes = Nodes()
        self._pipeline.visit(nodes)
        (
            tuple(nodes.facts)
            | "Flatten facts" >> beam.Flatten()
            | "Gather facts" >> beam.GroupByKey()
            | "WriteManifest" >> beam.ParDo(WriteManifest(self._space.checkpoint))
        )
        return Graph(nodes.links, tables, {name: _terms(given) for name, given in self._accounts.items()})


def _terms(accounts: Iterable[tuple[Any, tuple[str, ...]]]) -> list[Term]:
    """Of frames; where tags are named, these of the nodes that make them."""
    found: list[Term] = []
    for frames, tags in accounts:
        made = terms_of(frames)
        if made is None:
            raise ValueError(f"{frames.producer.full_label}: counts no rows; use map_frames or another CountedDoFn")
        found += [(node, tag) for node, own in made for tag in tags or (own,)]
    return found


class ReadPlan(CountedDoFn):
    """The plan of the run that is on: ranges by role, state heads by operator; no rows."""

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

    Once each: the `clock`, what was `measured` of the last epoch, and the `facts` that are known.
    """
    clock = plan.clock.__dict__
    for role, group in grouped(plan.splits, plan.roles):
        splits = [[index, plan.splits[index].__dict__] for index in group]
        yield beam.pvalue.TaggedOutput(f"splits.{role}", json.dumps([splits, clock]).encode())
    for operator, shards in plan.state.items():
        for shard, head in shards.items():
            lagging = {**clock, "watermark": plan.watermarks[operator]}
            found = {"clock": lagging, "attempt": plan.attempt, "head": head}
            yield beam.pvalue.TaggedOutput(f"heads.{operator}", (int(shard), HEAD + json.dumps(found).encode()))
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


class TellModels(CountedDoFn):
    """Frames of names and values to facts."""

    def process(self, element: pl.DataFrame) -> Iterable[Any]:
        """One fact a frame."""
        self.came(element.height)
        yield beam.pvalue.TaggedOutput(FACTS, fact({"models": dict(element.iter_rows())}))
