"""What a user's own module may hold: a step, a measure, a source, a sink, a store and an alert target.

Each is registered by one line. Nothing of the package is changed for it. `--plugin=shop_plugin` loads it.
"""

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

import ecompulse as eco
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Backlog, Split, Store
from ecompulse.epochs.sinks import DataFile, Owner, TableSpec
from ecompulse.epochs.state import read_verified
from ecompulse.io.alerts.alert import Alert
from ecompulse.io.sinks.registry import SinkContext
from ecompulse.io.sources import SourceContext
from ecompulse.io.stores import LocalStore, StoreContext
from ecompulse.kernels.enrich.step import Opened, Step, status_column
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.metrics.measures.base import SLICE, UNIT, Columns, Measure, half_even
from ecompulse.kernels.metrics.ranges import Ranges, sums


@dataclass(frozen=True)
class CalendarStep(Step):
    """Weekday and season of an event: columns `calendar_*`.

    Attributes:
        holidays: dates (`2026-12-25`) on which the shop is closed.
    """

    name: ClassVar[str] = "calendar"
    holidays: tuple[str, ...] = ()

    def columns(self, opened: Opened) -> pl.Schema:
        """Day of the week (1 = Monday), and whether it is a holiday."""
        return pl.Schema({"calendar_weekday": pl.Int8(), "calendar_holiday": pl.Boolean()})

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """The status is `ok`, or `off`."""
        day = pl.col("event_time").dt.date()
        return events.with_columns(
            calendar_weekday=pl.when(self.enabled).then(day.dt.weekday()),
            calendar_holiday=pl.when(self.enabled).then(day.cast(pl.String).is_in(self.holidays)),
        ).with_columns(pl.lit("ok" if self.enabled else "off").alias(status_column(self.name)))


class Variance(Measure):
    """`variance: expression`, of the population; null in a window without values."""

    name: ClassVar[str] = "variance"
    slices: ClassVar[Columns] = {"squares": pl.Int128()}
    state: ClassVar[Columns] = slices

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """Count, sum, and sum of squares."""
        value = pl.col("value")
        squares = (value.cast(pl.Int128) * value.cast(pl.Int128)).sum().alias("squares")
        total = value.cast(pl.Int128).sum().alias("total")
        return rows.group_by(keys).agg(value.count().cast(pl.Int64).alias("count"), total, squares)

    def merge(self, held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
        """Added."""
        rows = pl.concat([part.select(*SLICE, *self.state) for part in (held, fresh)])
        return rows.filter(pl.col("squares").is_not_null()).group_by(SLICE).agg(pl.col("squares").sum())

    def over(self, sketches: pl.DataFrame, windows: Ranges) -> Mapping[str, pl.Series]:
        """The sum of squares."""
        return {"squares": sums(sketches["squares"], windows)}

    def units(self) -> pl.Expr:
        """Mean of squares less the square of the mean."""
        size, total, scaled = pl.col("size"), pl.col("total"), pl.col("scaled").cast(pl.Int128)
        return half_even((size * pl.col("squares") - total * total) * scaled * scaled, size * size * UNIT)


@dataclass(frozen=True)
class QueueSource:
    """Rows of the table `queue (number INTEGER PRIMARY KEY, body BLOB)` of an SQLite database: one partition."""

    uri: str
    path: str
    index: int
    role: str

    def reads(self) -> frozenset[str]:
        """The database."""
        return frozenset({self.path})

    def columns(self, most: int) -> Iterator[tuple[str, Sequence[str]]]:
        """Nothing: bodies are JSON objects."""
        return iter(())

    def plan(self, positions: Mapping[str, Any], max_rows: int, tops: Mapping[int, int], *, whole: bool) -> Backlog:
        """The next rows by number."""
        with sqlite3.connect(self.path) as connection:
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM queue").fetchone()
        begin = int(positions.get("next", 1))
        end = min(last + 1, begin + max_rows)
        splits = [Split(self.index, 0, self.path, begin, end, end - begin, exact=False)] if end > begin else []
        ended = frozenset({0} if end > last else ())
        return Backlog(splits, {"next": end} if splits else {}, ended, frozenset({0}), last + 1 - end)

    def reader(self) -> "QueueReader":
        """The worker's side."""
        return QueueReader()


@dataclass(frozen=True)
class QueueReader:
    """Reads ranges of numbers."""

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """One batch."""
        with sqlite3.connect(split.uri) as connection:
            asked = "SELECT body, number FROM queue WHERE number >= ? AND number < ? ORDER BY number"
            rows = connection.execute(asked, (split.start, split.end)).fetchall()
        frame = pl.DataFrame(rows, schema={"raw": pl.Binary, "source_offset": pl.Int64}, orient="row")
        named = frame.with_columns(source=pl.lit(split.uri), source_partition=pl.lit(0))
        yield named.select(pl.col(name).cast(dtype) for name, dtype in RAW_SCHEMA.items())


def open_queue(uri: str, context: SourceContext) -> QueueSource:
    """The source of `queue:FILE`."""
    path = str(Path(uri.removeprefix("queue://")).absolute())
    if not Path(path).is_file():
        raise UserError(f"--source: {uri}: no such database")
    return QueueSource(uri, path, context.index, context.role)


@dataclass
class ParquetSink:
    """A folder with one Parquet file per table and epoch.

    Exactly once: the file of an epoch has its name from table, checkpoint and epoch, appears whole, and is never
    written again.
    """

    root: Path
    outputs: Store
    checkpoint: str = ""

    @property
    def name(self) -> str:
        """Where it writes."""
        return f"parquet:{self.root}"

    def open(self, tables: Sequence[TableSpec], owner: Owner) -> None:
        """Make the folder."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.checkpoint = owner.checkpoint

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Once, whole."""
        target = self.root / f"{table.name}-{self.checkpoint}-{epoch:06}.parquet"
        if not files or target.exists():
            return
        frames = [pl.read_parquet(read_verified(self.outputs, file.path, file.sha256)) for file in files]
        hidden = self.root / f".{uuid.uuid4().hex}"
        pl.concat(frames).write_parquet(hidden)
        with hidden.open("rb") as handle:
            os.fsync(handle.fileno())
        hidden.rename(target)


def open_parquet(uri: str, context: SinkContext) -> ParquetSink:
    """The sink of `parquet:FOLDER`."""
    return ParquetSink(Path(uri.removeprefix("parquet:")).absolute(), context.outputs)


@dataclass(frozen=True)
class FileTarget:
    """A line of JSON per alert, for whoever follows the file; a reader drops a `key` that it has seen."""

    path: str

    @property
    def shown(self) -> str:
        """Holds no secret."""
        return f"lines:{self.path}"

    @property
    def batch(self) -> int:
        """Alerts at once."""
        return 50

    def send(self, alerts: Sequence[Alert]) -> None:
        """In one write."""
        lines = [json.dumps({"key": alert.key, "rule": alert.rule, "status": alert.status}) for alert in alerts]
        with Path(self.path).open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))


class VaultStore(LocalStore):
    """A directory under another scheme, as a bucket of another cloud would be."""


def open_vault(uri: str, context: StoreContext) -> VaultStore:
    """The store of `vault://DIRECTORY`."""
    return VaultStore(uri.removeprefix("vault://"), context.private)


eco.register_step(CalendarStep)
eco.register_alert_target("lines", FileTarget)
eco.register_measure(Variance)
eco.register_source("queue", open_queue)
eco.register_sink("parquet", open_parquet)
eco.register_store("vault", open_vault)
