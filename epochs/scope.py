"""`Scope`: an epoch's pipeline as a job composes it. The pipeline is built once and run for every epoch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.audit import Graph, Nodes, Term, terms_of, writer_of
from ecompulse.epochs.checkpoint import Checkpoint
from ecompulse.epochs.clocked import MapUnderClock
from ecompulse.epochs.coders import FrameCoder  # noqa: F401  # registers the coder of frames
from ecompulse.epochs.counted import FACT, FACTS, CountedParDo, counted_frames
from ecompulse.epochs.delays import resolve_delays
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.keyed import SHARDED, Binding, run_in_epochs
from ecompulse.epochs.manifest import WriteManifest
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.planned import MakeFrame, MakeMeasured, ReadPlan, Tell
from ecompulse.epochs.protocols import EVENTS, Reader, Store
from ecompulse.epochs.reading import Decode, ReadRows
from ecompulse.epochs.sinks import TableSpec
from ecompulse.epochs.tables import WriteTable
from ecompulse.kernels.step import Kernel


@dataclass
class Workspace:
    """Where a job's workers read and write; picklable.

    Attributes:
        checkpoint: store of plans, manifests and state.
        outputs: store below which output files are written.
        job: name of the job.
        num_shards: shards of keyed state.
        instance: see `Owner`.
        checkpoint_id: id of the checkpoint, once `open` has been called.
    """

    checkpoint: FencedStore
    outputs: Store
    job: str
    num_shards: int
    instance: str | None = None
    checkpoint_id: str = ""

    def open(self, checkpoint: Checkpoint) -> None:
        """Take id and fencing token of the checkpoint; called before the first epoch."""
        self.checkpoint.fencing_token = checkpoint.fencing_token
        self.checkpoint_id = checkpoint.id


class Scope:
    """One job's pipeline under construction: all that the driver knows of the job is derived from it.

    Every PCollection is bounded and holds frames. A `Keyed` that is applied becomes an operator with state. A table
    that is written becomes an output. What the driver must know of a run (files, state, event times) is collected as
    facts and ends in one manifest, written by the run itself.
    """

    def __init__(self, pipeline: beam.Pipeline, space: Workspace, readers: Sequence[tuple[str, Reader]]) -> None:
        """`readers`: role and reader of each source."""
        self._space = space
        self._readers = readers
        self._pipeline = pipeline
        self._writes: dict[str, tuple[TableSpec, list[Any]]] = {}
        self._accounts: dict[str, list[Any]] = {}
        self._operators: dict[str, Operator] = {}
        self._dropped: list[Any] = []
        self._root = pipeline | "Impulse" >> beam.Impulse()
        run_in_epochs(pipeline, self)

    @property
    def store(self) -> Store:
        """Store of the checkpoint: rows may wait there within a run."""
        return self._space.checkpoint

    @property
    def num_shards(self) -> int:
        """Shards of keyed state."""
        return self._space.num_shards

    @cached_property
    def _plan(self) -> Any:
        return self._root | "ReadPlan" >> beam.ParDo(ReadPlan(self._space.checkpoint)).with_outputs()

    def _planned(self, tag: str, of: Any = bytes) -> Any:
        """An output of the plan, with its type; the set of outputs is known only once the job is composed."""
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

    def bind(self, operator: Operator) -> Binding:
        """Register an operator of the job, and give it the epoch's state; ValueError for a second one of its name."""
        if operator.name in self._operators:
            raise ValueError(f"{operator.name}: is there twice; give the kernels different names")
        self._operators[operator.name] = operator
        heads = self._planned(f"heads.{operator.name}", SHARDED)
        return Binding(heads, self._space.checkpoint, self._space.num_shards)

    def stepped(self, kernel: Kernel, outputs: Mapping[str, Any]) -> None:
        """Called with the outputs of an operator; does nothing here."""

    def under_clock(self, kernel: Kernel, function: Callable[..., pl.DataFrame], *arguments: Any) -> Any:
        """A transform that applies `function(frame, clock, *arguments)`, under the clock of a keyed operator."""
        return MapUnderClock(self._space.checkpoint, kernel.name, function, *arguments)

    def each_epoch(self, name: str, function: Callable[..., pl.DataFrame], *arguments: Any) -> Any:
        """One frame per epoch, `function(clock, *arguments)`, even if no rows came."""
        return self._planned("clock") | name >> counted_frames(MakeFrame(function, arguments))

    @property
    def measured(self) -> Any:
        """What the driver measured at the commit before this epoch (MEASURED_SCHEMA)."""
        return self._planned("measured") | "Measured" >> counted_frames(MakeMeasured())

    def tell(self, part: str, frames: Any) -> None:
        """Report frames of names and values as gauges of a part, in the progress."""
        frames | f"Tell {part}" >> CountedParDo(Tell(part), tags={})

    def account(self, name: str, frames: Any, *tags: str) -> None:
        """Declare where rows that were read end: in these frames, or under other `tags` of their transform.

        The accounts of a job must add up to all rows that it reads; otherwise the epoch is not sealed.
        """
        self._accounts.setdefault(name, []).append((frames, tags))

    def follow(self, name: str) -> None:
        """Withdraw an account: later accounts say where its rows end."""
        del self._accounts[name]

    def write(self, spec: TableSpec, *frames: Any) -> None:
        """Write frames as this epoch's rows of a table; they become visible when the epoch is published."""
        self._writes.setdefault(spec.name, (spec, []))[1].extend(frames)

    def drop(self, *frames: Any) -> None:
        """Declare that these outputs are not needed."""
        self._dropped += frames

    def finish(self) -> Graph:
        """End the pipeline: gather all facts into one manifest; returns the graph for the driver.

        ValueError for an output that is made and neither read, written, accounted for nor dropped.
        """
        specs = []
        for spec, frames in self._writes.values():
            rows = tuple(frames) | f"Rows of {spec.name}" >> beam.Flatten() if len(frames) > 1 else frames[0]
            rows | writer_of(spec.name) >> CountedParDo(WriteTable(spec, self._space), tags={})
            specs.append(spec)
        self._planned(FACTS, FACT)
        nodes = Nodes()
        self._pipeline.visit(nodes)
        accounted = [frames for accounts in self._accounts.values() for frames, _ in accounts]
        if unread := nodes.unread([*accounted, *self._dropped]):
            raise ValueError(f"{', '.join(unread)}: is made and nobody reads it; write it, or drop it by Scope.drop")
        (
            tuple(nodes.facts)
            | "Flatten facts" >> beam.Flatten()
            | "Gather facts" >> beam.GroupByKey()
            | "WriteManifest" >> beam.ParDo(WriteManifest(self._space.checkpoint))
        )
        operators = resolve_delays(self._operators, nodes.stepped)
        return Graph(specs, operators, nodes.links, {name: _terms(given) for name, given in self._accounts.items()})


def _terms(accounts: Iterable[tuple[Any, tuple[str, ...]]]) -> list[Term]:
    """Terms of frames; if tags are named, the terms of these tags of the nodes that make the frames."""
    found: list[Term] = []
    for frames, tags in accounts:
        made = terms_of(frames)
        if made is None:
            raise ValueError(f"{frames.producer.full_label}: counts no rows; use map_frames or another CountedDoFn")
        found += [(node, tag) for node, own in made for tag in tags or (own,)]
    return found
