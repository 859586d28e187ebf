"""Run a kernel in memory over a stream cut into epochs and shards, as the epoch driver would."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from ecompulse.kernels.hashing import shard_of
from ecompulse.kernels.rows import DUE
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, Kernel, OrderedList, Table, Wait


@dataclass
class MemoryState:
    """The plainest StateView: one frame per table, scanned whole."""

    tables: dict[str, Table | OrderedList]
    watermark: int = -1
    rows: dict[str, pl.DataFrame] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)

    def _live(self, table: str) -> pl.DataFrame:
        spec = self.tables[table]
        frame = self.rows.get(table, pl.DataFrame(schema=spec.schema))
        if isinstance(spec, OrderedList):
            return frame
        return frame.filter(pl.col(spec.expires) > self.watermark) if spec.expires else frame

    def lookup(self, table: str, keys: pl.Series) -> pl.DataFrame:
        frame = self._live(table)
        return frame.filter(pl.col(self.tables[table].key).is_in(keys.drop_nulls().unique().implode()))

    def due(self, table: str, until: int) -> pl.DataFrame:
        spec, frame = self.tables[table], self._live(table)
        if isinstance(spec, OrderedList):
            self.reached[table] = until  # after the step, what it was given is gone
            return frame.filter(pl.col(DUE) <= until)
        assert spec.due is not None
        rows = self.lookup(table, frame.filter(pl.col(spec.due) <= until)[spec.key])
        return rows if spec.keep_key else rows.drop(spec.key)

    def next_due(self) -> int | None:
        columns = {name: DUE if isinstance(spec, OrderedList) else spec.due for name, spec in self.tables.items()}
        found = [self._live(name)[due].min() for name, due in columns.items() if due is not None]
        return min((int(value) for value in found if value is not None), default=None)

    def passed(self, watermark: int) -> None:
        if watermark < END_OF_TIME:  # draining ends windows, it does not age what is remembered
            self.watermark = watermark

    def apply(self, table: str, change: Change | Wait) -> None:
        spec = self.tables[table]
        if isinstance(spec, OrderedList):
            assert isinstance(change, Wait)
            reached = self.reached.get(table, -1)
            assert (change.rows[DUE] > reached).all(), f"{table}: rows wait for what has passed"
            self.rows[table] = pl.concat([self._live(table).filter(pl.col(DUE) > reached), change.rows])
            return
        assert isinstance(change, Change)
        assert set(change.rows[spec.key]) <= set(change.keys), f"{table}: rows of keys not named in the change"
        assert change.rows.schema == spec.schema, f"{table}: {change.rows.schema} is not {spec.schema}"
        kept = self._live(table).filter(~pl.col(spec.key).is_in(change.keys.drop_nulls().implode()))
        self.rows[table] = pl.concat([kept, change.rows])


def watermarks(arrivals: pl.DataFrame, cuts: Sequence[int], delay: int) -> list[tuple[pl.DataFrame, int]]:
    """Epochs (rows, watermark in force) of rows in arrival order, cut before the row numbers `cuts`.

    The watermark of an epoch is the smallest, over partitions, of the largest event time of earlier epochs,
    less `delay` (ms). It holds at -1 until every partition has begun.
    """
    parts = arrivals.select("source", "source_partition").unique().rows()
    seen: dict[tuple[object, ...], int] = {}
    epochs, watermark = [], -1
    bounds = [0, *sorted(cuts), arrivals.height]
    for start, stop in itertools.pairwise(bounds):
        rows = arrivals[start:stop]
        epochs.append((rows, watermark))
        for source, partition, top in (
            rows.group_by("source", "source_partition").agg(pl.col("event_time").max().dt.epoch("ms")).rows()
        ):
            seen[source, partition] = max(seen.get((source, partition), -1), top)
        if seen and len(seen) == len(parts):
            watermark = max(watermark, min(seen.values()) - delay)
    return epochs


def run_kernel(
    kernel: Kernel,
    arrivals: pl.DataFrame,
    *,
    cuts: Sequence[int] = (),
    num_shards: int = 1,
    delay: int = 600_000,
    drain: bool = True,
    now: int = 4_102_444_800_000,
) -> dict[str, pl.DataFrame]:
    """All outputs of a kernel over `arrivals` (in arrival order; event_time, source, partition, offset...)."""
    tables = {table.name: table for table in kernel.tables}
    shards = [MemoryState(tables) for _ in range(num_shards)]
    outputs: dict[str, list[pl.DataFrame]] = {name: [pl.DataFrame(schema=s)] for name, s in kernel.outputs.items()}
    epochs = watermarks(arrivals, cuts, delay)
    if drain:
        epochs.append((arrivals.clear(), END_OF_TIME))
    for epoch, (rows, watermark) in enumerate(epochs, start=1):
        clock = Clock(epoch=epoch, watermark=watermark, now=now)
        keyed = rows.with_columns(_shard=shard_of(kernel.key(rows), num_shards))
        for number, state in enumerate(shards):
            batch = keyed.filter(pl.col("_shard") == number).drop("_shard")
            due = state.next_due()
            if batch.is_empty() and (due is None or due > watermark):
                state.passed(watermark)
                continue
            step = kernel.step(state, batch, clock)
            assert set(step.outputs) == set(kernel.outputs)
            for name, frame in step.outputs.items():
                assert frame.schema == kernel.outputs[name], f"{name}: {frame.schema}"
                outputs[name].append(frame)
            for name, change in step.changes.items():
                state.apply(name, change)
            state.passed(watermark)
    return {name: pl.concat(frames) for name, frames in outputs.items()}
