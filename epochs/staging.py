"""Staging: whole rows wait in files while their keys, times and references go through shuffles."""

import io
import json
import uuid
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.coders import decode, encode
from ecompulse.epochs.counted import CountedDoFn, CountedParDo, counted_frames
from ecompulse.epochs.plan import CURRENT
from ecompulse.epochs.protocols import Store
from ecompulse.kernels.rows import FILE, FILE_ROW


class StageRows(beam.PTransform):
    """Frames to references: rows are written to files of the run; only `columns` and the reference go on.

    The files are the run's own and go when it is collected: a reference must not be kept in state.
    """

    def __init__(self, store: Store, columns: Iterable[str]) -> None:
        """`columns` go on beside the reference."""
        super().__init__()
        self._store = store
        self._columns = list(columns)

    def expand(self, frames: Any) -> Any:
        """One ParDo."""
        return frames | counted_frames(_Stage(self._store, self._columns))


class TakeRows(beam.PTransform):
    """References to frames: the rows that are referred to, whole, with what the references carry beside.

    Only references are shuffled, by file. Columns of the references replace staged ones of the same name.
    """

    def __init__(self, store: Store) -> None:
        """The store that the rows were staged in."""
        super().__init__()
        self._store = store

    def expand(self, references: Any) -> Any:
        """Group by file, read once."""
        return (
            references
            | "ByFile" >> CountedParDo(_ByFile(), beam.typehints.Tuple[str, bytes])
            | beam.GroupByKey()
            | "Take" >> counted_frames(_Take(self._store))
        )


class _Stage(CountedDoFn):
    def __init__(self, store: Store, columns: list[str]) -> None:
        self._store = store
        self._columns = columns
        self._folder = ""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._folder = _folder(self._store)

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        self.came(element.height)
        name = uuid.uuid4().hex
        buffer = io.BytesIO()
        element.write_ipc(buffer)
        self._store.put(_path(self._folder, name), buffer.getvalue())
        row = pl.int_range(element.height, dtype=pl.UInt32).alias(FILE_ROW)
        yield self.counted(element.select(self._columns).with_columns(pl.lit(name).alias(FILE), row))


class _ByFile(CountedDoFn):
    def process(self, element: pl.DataFrame) -> Iterable[tuple[str, bytes]]:
        self.came(element.height)
        for (name,), part in element.partition_by(FILE, as_dict=True, include_key=False).items():
            self.counted(part)
            yield str(name), encode(part)


class _Take(CountedDoFn):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = ""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._folder = _folder(self._store)

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterable[pl.DataFrame]:
        name, parts = element
        references = pl.concat([decode(part) for part in parts]).sort(FILE_ROW)
        self.came(references.height)
        staged = pl.read_ipc(io.BytesIO(self._store.get(_path(self._folder, name))))
        yield self.counted(staged[references[FILE_ROW]].with_columns(references.drop(FILE_ROW).get_columns()))


def _folder(store: Store) -> str:
    return str(json.loads(store.get(CURRENT))["folder"])


def _path(folder: str, name: str) -> str:
    return f"{folder}/rows/{name}.arrow"
