"""A small job with a stateless table and a keyed running count, for tests of the epoch driver."""

import io
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ecompulse.epochs.keyed import Keyed
from ecompulse.epochs.protocols import EVENTS
from ecompulse.epochs.scope import Scope
from ecompulse.epochs.sinks import TableSpec
from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.step import Change, Clock, Kernel, StateView, Step, Table

ROWS = pl.Schema({"id": pl.String(), "key": pl.String(), "value": pl.Int64(), "event_time": TIME})
TOTALS = pl.Schema({"id": pl.String(), "key": pl.String(), "rows": pl.Int64(), "total": pl.Int64(), "at": TIME})

BASE = 1_700_000_000_000


def rows(count: int, seed: int = 1) -> list[dict[str, object]]:
    """Input of the job: rows of six keys, some 400 ms from one to the next, not quite in order."""
    rng = random.Random(seed)
    times = [BASE + seed * 60_000 + number * 400 + rng.randrange(900) for number in range(count)]
    return [
        {"id": f"r{seed}-{n}", "key": f"k{rng.randrange(6)}", "value": rng.randrange(100), "event_time": at}
        for n, at in enumerate(times)
    ]


def decode(raw: pl.DataFrame, clock: Clock) -> Mapping[str, pl.DataFrame]:
    """JSON lines `{"id", "key", "value", "event_time" (ms)}`."""
    del clock
    lines = io.BytesIO(b"\n".join(raw["raw"].to_list()))
    schema = {**ROWS, "event_time": pl.Int64()}
    return {EVENTS: pl.read_ndjson(lines, schema=schema).with_columns(pl.col("event_time").cast(TIME))}


@dataclass(frozen=True)
class CountPerKey:
    """Counts and sums per key and second; a row once the watermark has passed that second."""

    name: str = "count"
    version: int = 1
    inputs: pl.Schema = field(default_factory=lambda: ROWS)
    outputs: Mapping[str, pl.Schema] = field(default_factory=lambda: {"totals": TOTALS})
    tables: tuple[Table, ...] = (
        Table(
            "open",
            pl.Schema({"key": pl.String(), "rows": pl.Int64(), "total": pl.Int64(), "due": pl.Int64()}),
            key="key",
            due="due",
        ),
    )

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """Key and second."""
        return _slot(batch)

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Add the batch; close what is due."""
        slots = batch.with_columns(_slot(batch).alias("key"), due=_second(batch) * 1000 + 1000)
        fresh = slots.group_by("key").agg(
            rows=pl.len().cast(pl.Int64), total=pl.col("value").sum(), due=pl.col("due").first()
        )
        known = pl.concat([state.lookup("open", slots["key"]), state.due("open", clock.watermark)]).unique()
        merged = (
            pl.concat([known, fresh.select(known.columns)])
            .group_by("key")
            .agg(pl.col("rows").sum(), pl.col("total").sum(), pl.col("due").max())
        )
        closed = merged.filter(pl.col("due") <= clock.watermark)
        kept = merged.filter(pl.col("due") > clock.watermark)
        rows = closed.with_columns(at=pl.col("due").cast(TIME)).with_columns(id=row_id("key", "at"))
        return Step(
            {"totals": rows.select(list(TOTALS)).sort("id")},
            {"open": Change(merged["key"], kept)},
        )


def _second(batch: pl.DataFrame) -> pl.Series:
    return batch["event_time"].dt.epoch("ms") // 1000


def _slot(batch: pl.DataFrame) -> pl.Series:
    return pl.select(pl.format("{}@{}", batch["key"], _second(batch))).to_series().cast(pl.String)


@dataclass(frozen=True)
class ToyJob:
    """Writes each row, and totals per key."""

    name: str = "toy"
    kernel: Kernel = CountPerKey()
    lag: int | None = None
    every: int | None = None

    def build(self, scope: Scope) -> None:
        """Compose it."""
        events = scope.read(decode)[EVENTS]
        scope.write(TableSpec("rows", ROWS, "event_time"), events)
        totals = events | "Count" >> Keyed(self.kernel, lag=self.lag, every=self.every)
        scope.write(TableSpec("totals", TOTALS, "at"), totals["totals"])
