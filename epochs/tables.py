"""Writing output tables: workers write Parquet files that nothing refers to until the epoch is sealed."""

import io
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

import apache_beam as beam
import polars as pl

from ecompulse.epochs.counted import FACTS, CountedDoFn, fact
from ecompulse.epochs.plan import CURRENT
from ecompulse.epochs.runs import digest
from ecompulse.epochs.sinks import DataFile, TableSpec
from ecompulse.epochs.steps import Step, reach
from ecompulse.epochs.stored import DATE, of_instance, stored

FLUSH_ROWS: Final = 200_000


class WriteTable(CountedDoFn):
    """Frames to Parquet files, one per date and bundle; has no output but facts, one per file."""

    gathers = True  # LocalRunner: one for all threads, so that there are few files

    def __init__(self, spec: TableSpec, space: Any) -> None:
        """Settings only."""
        self._spec = spec
        self._space = space
        self._frames: list[pl.DataFrame] = []
        self._rows = 0
        self._current: dict[str, Any] = {}

    def start_bundle(self) -> None:
        """Read the current run: files carry its epoch and attempt."""
        super().start_bundle()
        self._frames, self._rows = [], 0
        self._current = json.loads(self._space.checkpoint.get(CURRENT))

    def process(self, element: pl.DataFrame) -> Iterable[Any]:
        """Keep rows; write them once there are many."""
        self.came(element.height)
        self._frames.append(element)
        self._rows += element.height
        if self._rows >= FLUSH_ROWS:
            yield from (beam.pvalue.TaggedOutput(FACTS, told) for told in self._flush())

    def facts(self) -> Iterable[tuple[int, bytes]]:
        """Write the rest."""
        yield from self._flush()
        yield from super().facts()

    def _flush(self) -> Iterator[tuple[int, bytes]]:
        if not self._rows:
            return
        reach(Step.WRITING)
        frame = self.complete(pl.concat(self._frames))
        self._frames, self._rows = [], 0
        for date, part in by_date(frame, self._spec.time):
            yield fact({"table": self._spec.name, "file": asdict(self._write(date, part))})

    def complete(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows as stored: the table's columns, their owner, and times in microseconds as in Delta."""
        rows, instance = frame.select(list(self._spec.schema)), self._space.instance
        if instance is not None:
            rows = rows.with_columns(of_instance(name, instance) for name in ("id", *self._spec.ids))
        return stored(rows, job=self._space.job, instance=instance, epoch=self._current["epoch"])

    def _write(self, date: str, frame: pl.DataFrame) -> DataFile:
        current = self._current
        name = f"{current['epoch']:08d}-{current['attempt']}-{self._space.checkpoint_id[:8]}-{uuid.uuid4().hex[:12]}"
        path = f"{self._spec.name}/{DATE}={date}/{name}.parquet"
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=1, statistics=True)
        data = buffer.getvalue()
        self._space.outputs.create(path, data)
        return DataFile(path, frame.height, len(data), digest(data), date)


def by_date(frame: pl.DataFrame, time: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Rows by UTC date of their time."""
    dates = frame[time].dt.date()
    if dates.n_unique() == 1:
        yield str(dates[0]), frame
        return
    for (date,), part in (
        frame.with_columns(dates.alias(DATE)).partition_by(DATE, as_dict=True, include_key=False).items()
    ):
        yield str(date), part
