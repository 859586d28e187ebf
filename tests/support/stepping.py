"""Drive one shard of a kernel by hand, look into its state, and rearrange a stream's arrival."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl
from hypothesis import strategies as st

from ecompulse.kernels.step import Clock, Kernel
from support.harness import MemoryState
from support.streams import arrivals


@dataclass
class OneShard:
    """A kernel with its state; each call of `step` is one epoch."""

    kernel: Kernel
    state: MemoryState = field(init=False)
    epoch: int = 0

    def __post_init__(self) -> None:
        self.state = MemoryState({table.name: table for table in self.kernel.tables})

    def step(self, batch: pl.DataFrame, watermark: int) -> dict[str, pl.DataFrame]:
        self.epoch += 1
        self.state.watermark = watermark
        done = self.kernel.step(self.state, batch, Clock(self.epoch, watermark, now=4_102_444_800_000))
        for name, change in done.changes.items():
            self.state.apply(name, change)
        return dict(done.outputs)

    def rows(self, table: str) -> pl.DataFrame:
        """What a step would still see of a table."""
        return self.state._live(table)


def rearranged(frame: pl.DataFrame, seed: int, delay: int) -> pl.DataFrame:
    """The same rows, positions included, in another arrival order within `delay` ms."""
    jitter = random.Random(seed)
    late = pl.Series([jitter.randint(0, delay) for _ in range(frame.height)], dtype=pl.Int64)
    return frame.sort(frame["event_time"].dt.epoch("ms") + late)


def some(fields: Mapping[str, st.SearchStrategy[object]], **how: int) -> st.SearchStrategy[pl.DataFrame]:
    """`streams.arrivals` of at least one row."""
    return arrivals(fields, **how).filter(lambda frame: not frame.is_empty())
