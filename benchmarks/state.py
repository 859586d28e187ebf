"""Keyed state: what an epoch of 100,000 events costs on top of few and of many open keys, in process."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from benchmarks.measure import table
from ecompulse.epochs.keyed import split_by_shard
from ecompulse.epochs.state import Head, ShardState
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.sessions.kernel import Sessionize, prepare
from ecompulse.kernels.step import Clock, Kernel
from ecompulse.kernels.temporal_join import UPDATE, JoinVersions

FEW: Final = 100_000
MANY: Final = 2_000_000
ROWS: Final = 100_000
EPOCHS: Final = 16  # of 100,000 rows: runs of 25,000 per shard merge up to 400,000, four times the usual run
SHARDS: Final = 4
BASE: Final = 1_700_000_000_000

Frames = Callable[[int, int, int], pl.DataFrame]
"""(first key, rows, epoch) to a batch."""


@dataclass
class World:
    """A kernel and its state, stepped by hand as the driver would."""

    kernel: Kernel
    store: LocalStore

    def __post_init__(self) -> None:
        """Nothing yet."""
        self.heads = [Head() for _ in range(SHARDS)]
        self.epoch = 0
        self.outputs: dict[str, list[pl.DataFrame]] = {}

    def step(self, batch: pl.DataFrame, watermark: int) -> float:
        """One epoch; CPU seconds of sharding, loading, stepping and writing."""
        self.epoch += 1
        clock = Clock(self.epoch, watermark, watermark)
        self.outputs = {name: [pl.DataFrame(schema=schema)] for name, schema in self.kernel.outputs.items()}
        before = time.process_time()
        for shard, part in split_by_shard(batch, self.kernel, SHARDS):
            state = ShardState(self.kernel, clock, self.heads[shard], self.store)
            step = self.kernel.step(state, part, clock)
            self.heads[shard] = state.apply(self.kernel.name, shard, "bench", step.changes)
            for name, rows in step.outputs.items():
                self.outputs[name].append(rows)
        return time.process_time() - before

    def size(self) -> tuple[int, int]:
        """Rows and bytes of the state's files."""
        runs = [run for head in self.heads for refs in head.tables.values() for run in refs]
        return sum(run.rows for run in runs), sum(run.bytes for run in runs)


def ids(first: int, rows: int, epoch: int) -> pl.DataFrame:
    """New event ids."""
    numbers = pl.int_range(first, first + rows, eager=True)
    return pl.select(
        event_id=pl.format("event-{}", numbers), event_time=pl.lit(BASE + epoch).cast(FRAME_SCHEMA["event_time"]),
        source=pl.lit("s"), source_partition=pl.lit(0, pl.Int32), source_offset=numbers,
    )  # fmt: skip


def versions(first: int, rows: int, epoch: int) -> pl.DataFrame:
    """New versions of users."""
    frame = ids(first, rows, epoch).with_columns(user_id=pl.col("event_id"), tier=pl.lit("gold"), side=pl.lit(UPDATE))
    return frame.select(list(VERSIONS.inputs))


def visits(first: int, rows: int, epoch: int) -> pl.DataFrame:
    """An event of each of many visitors."""
    frame = ids(first, rows, epoch).with_columns(
        event_type=pl.lit("product_view"), product_id=pl.lit("p1"), visitor=pl.format("visitor-{}", "source_offset")
    )
    return prepare(frame, SESSIONS)


VERSIONS: Final = JoinVersions(
    "user_id",
    pl.Schema({"tier": pl.String()}),
    columns=pl.Schema(
        {name: FRAME_SCHEMA[name] for name in ("user_id", "event_time", "source", "source_partition", "source_offset")}
    ),
)
SESSIONS: Final = Sessionize()
CASES: Final[tuple[tuple[str, Kernel, Frames], ...]] = (
    ("dedup", Deduplicate(horizon=10**9), ids),
    ("versions", VERSIONS, versions),
    ("sessions", SESSIONS, visits),
)


def cost(kernel: Kernel, frames: Frames, keys: int, size: int = ROWS) -> tuple[float, int, float]:
    """CPU seconds of an epoch on top of `keys` keys, amortised; rows of state, and bytes per row.

    The epochs touch keys that are there and as many that are new, so that state grows as in life. For sessions the
    watermark stays a minute behind: rows settle, and sessions stay open. `size`: rows of an epoch.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = World(kernel, LocalStore(folder))
        for first in range(0, keys, ROWS):
            world.step(frames(first, min(ROWS, keys - first), 1), BASE - 1)
        world.step(frames(0, 1000, 2), BASE + 60_000)
        seconds = 0.0
        for number in range(EPOCHS):
            old = frames((number * size) % keys, size // 2, 61_000 + number * 1000)
            new = frames(keys + number * size // 2, size // 2, 61_000 + number * 1000)
            seconds += world.step(pl.concat([old, new]), BASE + 60_000 + number * 1000)
        rows, written = world.size()
        return seconds / EPOCHS, rows, written / rows


def run() -> None:
    """Measure and print."""
    rows: list[tuple[Any, ...]] = []
    for name, kernel, frames in CASES:
        cost(kernel, frames, FEW)  # warm
        few, _, _ = cost(kernel, frames, FEW)
        many, held, size = cost(kernel, frames, MANY)
        rows.append((name, f"{few:.3f}", f"{many:.3f}", f"{many / few:.2f}x", f"{held:,}", f"{size:.0f}"))
    header = ("state", f"CPU s per epoch, {FEW:,} keys", f"{MANY:,} keys", "ratio", "rows at the end", "bytes per row")
    table(header, rows)
