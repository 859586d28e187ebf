"""`Keyed`: the one place that knows both Beam and kernels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, ref

import apache_beam as beam
import polars as pl

from ecompulse.epochs.counted import FACTS, CountedDoFn, CountedParDo, fact
from ecompulse.epochs.errors import JobError
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.shard_input import ShardInput
from ecompulse.epochs.state import Head, ShardState
from ecompulse.kernels.hashing import shard_of
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.step import END_OF_TIME, Clock, Kernel, Step

SHARDED: Final = beam.typehints.Tuple[int, ShardInput]
"""Type of shuffled elements: a shard, with rows for it or its head."""

DEFAULT_SHARDS: Final = 4


@dataclass(frozen=True)
class Binding:
    """How a keyed step is bound to an epoch.

    Attributes:
        heads: a PCollection of (shard, head) for the operator, every shard once.
        store: where state files are.
        num_shards: shards of keyed state.
    """

    heads: Any
    store: Store
    num_shards: int


class Epoch(Protocol):
    """What transforms see of the pipeline when it is run for epochs; see `Scope`."""

    @property
    def store(self) -> Store:
        """Store of the checkpoint: rows may wait there within a run."""
        ...

    def bind(self, operator: Operator) -> Binding:
        """The epoch's state of a keyed operator."""
        ...

    def stepped(self, kernel: Kernel, outputs: Mapping[str, Any]) -> None:
        """Called with the outputs of an operator."""
        ...


_epochs: Final = WeakKeyDictionary[beam.Pipeline, "ref[Epoch]"]()


def run_in_epochs(pipeline: beam.Pipeline, epoch: Epoch) -> None:
    """Give the pipeline's operators the state and clock of `epoch`, to which the caller must keep a reference."""
    _epochs[pipeline] = ref(epoch)


def epoch_of(frames: Any) -> Epoch | None:
    """The epochs that a PCollection's pipeline is run for; None in a plain pipeline."""
    known = _epochs.get(frames.pipeline)
    return known() if known else None


class Keyed(beam.PTransform):
    """Steps a kernel over bounded frames: shards them by key, groups, steps each shard once.

    Input: a PCollection of frames with the kernel's input columns. Output: a dict of PCollections of frames, by
    the kernel's output names. In a job's pipeline the step continues from the epoch's state, under a watermark that
    is derived from the origin of the input (see `delays`). In a plain pipeline the input is complete: there is no
    earlier state, and all windows close at its end.

    Only the columns of `kernel.inputs` are shuffled. An unbounded input is refused at construction.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        lag: int | None = None,
        every: int | None = None,
        fixed: Mapping[str, Any] | None = None,
        num_shards: int = DEFAULT_SHARDS,
    ) -> None:
        """See `Operator`; a `lag` of None is derived from the input. `num_shards` is for a plain pipeline."""
        super().__init__()
        self._operator = Operator(kernel, lag, every=every, fixed=fixed or {})
        self._num_shards = num_shards

    def default_label(self) -> str:
        """A name of its own for each operator."""
        return f"Keyed {self._operator.name}"

    def expand(self, frames: Any) -> Any:
        """Shard, group, step."""
        kernel = self._operator.kernel
        require_bounded(frames, kernel.name)
        epoch = epoch_of(frames)
        binding = epoch.bind(self._operator) if epoch else None
        rows = frames | "Shard" >> CountedParDo(
            ShardRows(kernel, binding.num_shards if binding else self._num_shards), SHARDED
        )
        inputs = (rows, binding.heads) if binding else (rows,)
        grouped = inputs | beam.Flatten() | beam.GroupByKey()
        step = StepShard(kernel, binding.store) if binding else StepWhole(kernel)
        stepped = grouped | "Step" >> CountedParDo(step, tags=dict.fromkeys(kernel.outputs, pl.DataFrame))
        outputs = {name: stepped[name] for name in kernel.outputs}
        if epoch:
            epoch.stepped(kernel, outputs)
        return outputs


def require_bounded(frames: Any, name: str) -> None:
    """Raise ValueError for an unbounded PCollection."""
    if not getattr(frames, "is_bounded", True):
        raise ValueError(
            f"{name}: the input is unbounded; run it in epochs instead: ecompulse.epochs.Driver plans bounded "
            "pipelines over an endless source"
        )


class ShardRows(CountedDoFn):
    """Frames to (shard, rows for it)."""

    def __init__(self, kernel: Kernel, num_shards: int) -> None:
        """Settings only."""
        self._kernel = kernel
        self._num_shards = num_shards

    def process(self, element: pl.DataFrame) -> Iterable[tuple[int, ShardInput]]:
        """One pair per shard that has rows."""
        self.came(element.height)
        for shard, part in split_by_shard(element, self._kernel, self._num_shards):
            self.counted(part)
            yield shard, ShardInput(part)


def split_by_shard(frame: pl.DataFrame, kernel: Kernel, num_shards: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of each shard, the kernel's input columns only; sorted once, then sliced."""
    if frame.is_empty():
        return
    shards = shard_of(kernel.key(frame), num_shards)
    if frame.height == 1:
        yield shards[0], frame.select(list(kernel.inputs))
        return
    ordered = frame.select(list(kernel.inputs)).with_columns(__shard=shards).sort("__shard", maintain_order=True)
    counts = ordered["__shard"].value_counts().sort("__shard")
    ordered, start = ordered.drop("__shard"), 0
    for shard, count in counts.iter_rows():
        yield shard, ordered[start : start + count]
        start += count


class StepShard(CountedDoFn):
    """One step of one shard: load, step, write. State goes to files, outputs to the next transforms."""

    def __init__(self, kernel: Kernel, store: Store) -> None:
        """Settings only; state is loaded per element."""
        self.kernel = kernel
        self._store = store

    def process(self, element: tuple[int, Iterable[ShardInput]]) -> Iterable[Any]:
        """Outputs by tag, and the shard's new head as a fact."""
        shard, inputs = element
        frames, found = gather(inputs)
        if found is None:
            raise JobError(f"{self.kernel.name}: the engine lost the head of shard {shard}")
        clock, head = Clock(**found["clock"]), Head.load(found["head"])
        due = head.due is not None and head.due <= clock.watermark
        if not frames and not due:
            yield self._head(shard, head.passed(clock.watermark))
            return
        batch = whole(frames, self.kernel)
        self.came(batch.height)
        state = ShardState(self.kernel, clock, head, self._store)
        step = self.kernel.step(state, batch, clock)
        self._count(step, batch.height)
        yield from tagged(step.outputs)
        after = state.apply(self.kernel.name, shard, found["attempt"], step.changes)
        yield self._head(shard, after, state.loaded)

    def _count(self, step: Step, came: int) -> None:
        """What went out, and what the kernel says of rows that did not; JobError when that leaves rows unexplained."""
        if step.balance and (explained := sum(step.balance.values())) != came:
            raise JobError(f"{self.kernel.name}: {came} rows came in, and {explained} are accounted for")
        for name, frame in step.outputs.items():
            self.went(frame.height, name)
        for name in step.balance.keys() - step.outputs.keys():
            self.went(step.balance[name], name)

    def _head(self, shard: int, head: Head, loaded: int = 0) -> Any:
        told = {"operator": self.kernel.name, "shard": shard, "head": head.dump(), "loaded": loaded}
        return beam.pvalue.TaggedOutput(FACTS, fact(told))


class StepWhole(CountedDoFn):
    """Steps a shard whose input is complete: once with the rows, once to close everything."""

    def __init__(self, kernel: Kernel) -> None:
        """Settings only."""
        self._kernel = kernel

    def process(self, element: tuple[int, Iterable[ShardInput]]) -> Iterable[Any]:
        """Outputs by tag."""
        batch = whole(gather(element[1])[0], self._kernel)
        first = Clock(epoch=1, watermark=-1, now=END_OF_TIME)
        state = ShardState(self._kernel, first)
        step = self._kernel.step(state, batch, first)
        yield from tagged(step.outputs)
        state.keep(step.changes)
        last = Clock(epoch=2, watermark=END_OF_TIME, now=END_OF_TIME)
        yield from tagged(self._kernel.step(state.at(last), batch.clear(), last).outputs)


def gather(inputs: Iterable[ShardInput]) -> tuple[list[pl.DataFrame], Mapping[str, Any] | None]:
    """All frames of a shard, and its head."""
    frames, head = list[pl.DataFrame](), None
    for each in inputs:
        rows = each.rows
        if rows is None:
            head = each.head
        else:
            frames.append(rows)
    return frames, head


def whole(frames: list[pl.DataFrame], kernel: Kernel) -> pl.DataFrame:
    """All rows of a shard as one frame, which may be empty."""
    return pl.concat(frames) if frames else no_rows(kernel.inputs)


def tagged(outputs: Any) -> Iterator[Any]:
    """Frames with rows, under their names."""
    for name, frame in outputs.items():
        if not frame.is_empty():
            yield beam.pvalue.TaggedOutput(name, frame)
