"""Staging: whole rows wait in files while their keys, times and references go through shuffles."""

import io
import json
import uuid
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.coders import decode, encode
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
        return frames | beam.ParDo(_Stage(self._store, self._columns)).with_output_types(pl.DataFrame)


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
            | "ByFile" >> beam.ParDo(_ByFile())
            | beam.GroupByKey()
            | "Take" >> beam.ParDo(_Take(self._store)).with_output_types(pl.DataFrame)
        )


class _Stage(beam.DoFn):
    def __init__(self, store: Store, columns: list[str]) -> None:
        self._store = store
        self._columns = columns
        self._folder = ""

    def start_bundle(self) -> None:
        self._folder = _folder(self._store)

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        name = uuid.uuid4().hex
        buffer = io.BytesIO()
        element.write_ipc(buffer)
        self._store.put(_path(self._folder, name), buffer.getvalue())
        yield element.select(self._columns).with_columns(
            pl.lit(name).alias(FILE), pl.int_range(element.height, dtype=pl.UInt32).alias(FILE_ROW)
        )


class _ByFile(beam.DoFn):
    def process(self, element: pl.DataFrame) -> Iterable[tuple[str, bytes]]:
        for (name,), part in element.partition_by(FILE, as_dict=True, include_key=False).items():
            yield str(name), encode(part)


class _Take(beam.DoFn):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = ""

    def start_bundle(self) -> None:
        self._folder = _folder(self._store)

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterable[pl.DataFrame]:
        name, parts = element
        references = pl.concat([decode(part) for part in parts]).sort(FILE_ROW)
        staged = pl.read_ipc(io.BytesIO(self._store.get(_path(self._folder, name))))
        yield staged[references[FILE_ROW]].with_columns(references.drop(FILE_ROW).get_columns())


def _folder(store: Store) -> str:
    return str(json.loads(store.get(CURRENT))["folder"])


def _path(folder: str, name: str) -> str:
    return f"{folder}/rows/{name}.arrow"
