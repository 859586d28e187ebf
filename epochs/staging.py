"""Staging: whole rows wait in files while their keys, times and references go through shuffles."""

import json
import threading
import uuid
from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
import polars as pl

from ecompulse.epochs.coders import decode, encode
from ecompulse.epochs.counted import CountedDoFn, CountedParDo, counted_frames
from ecompulse.epochs.keyed import epoch_of
from ecompulse.epochs.plan import CURRENT
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.runs import digest
from ecompulse.kernels.rows import FILE, FILE_ROW

_NAMED: Final = beam.typehints.Tuple[str, bytes]
_REFERENCES: Final = b"r"
_ROWS: Final = b"f"


class StageRows(beam.PTransform):
    """Replaces frames by references: rows wait, and only `columns` and the reference continue.

    Input: frames. Output: references, and in a plain pipeline the frames that wait, for `TakeRows`. In a job's pipeline
    the waiting frames are written to files of the run, which garbage collection removes: a reference must not be kept
    in state. An engine in one process (its runner has `in_process`) keeps them in memory instead.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        """`columns` continue beside the reference."""
        super().__init__()
        self._columns = list(columns)

    def expand(self, frames: Any) -> Any:
        """One ParDo."""
        epoch = epoch_of(frames)
        if epoch:
            return (frames | counted_frames(_Stage(epoch.store, self._columns, _keeps(frames))),)
        return (
            frames | "Refer" >> counted_frames(_Refer(self._columns)),
            frames | "Wait" >> beam.Map(_waiting).with_output_types(_NAMED),
        )


class TakeRows(beam.PTransform):
    """Replaces references by frames: the complete rows, plus the other columns of the references.

    Input: both outputs of `StageRows`; the references may have been changed. In a job's pipeline only they are
    shuffled, by file. Columns of the references replace staged ones of the same name.
    """

    def expand(self, staged: Any) -> Any:
        """Group by file, read once."""
        references, *waiting = staged
        epoch = epoch_of(references)
        asked = references | "ByFile" >> CountedParDo(_ByFile(), _NAMED)
        inputs = (asked, *waiting) | beam.Flatten()
        take = _Take(epoch.store if epoch else None, kept=_keeps(references))
        return inputs | beam.GroupByKey() | "Take" >> counted_frames(take)


class _Stage(CountedDoFn):
    def __init__(self, store: Store, columns: list[str], kept: bool) -> None:
        self._store = store
        self._columns = columns
        self._kept = kept
        self._folder = ""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._folder = _folder(self._store)

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        self.came(element.height)
        name = uuid.uuid4().hex
        if self._kept:
            _memory.keep(self._store.root, self._folder, name, element)
        else:
            self._store.put(_path(self._folder, name), encode(element))
        yield self.counted(_referred(element, name, self._columns))


class _Refer(CountedDoFn):
    def __init__(self, columns: list[str]) -> None:
        self._columns = columns

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        self.came(element.height)
        yield self.counted(_referred(element, _name(encode(element)), self._columns))


class _ByFile(CountedDoFn):
    def process(self, element: pl.DataFrame) -> Iterable[tuple[str, bytes]]:
        self.came(element.height)
        for (name,), part in element.partition_by(FILE, as_dict=True, include_key=False).items():
            self.counted(part)
            yield str(name), _REFERENCES + encode(part)


class _Take(CountedDoFn):
    def __init__(self, store: Store | None, *, kept: bool) -> None:
        self._store = store
        self._kept = kept
        self._folder = ""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._folder = _folder(self._store) if self._store else ""

    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterable[pl.DataFrame]:
        name, parts = element
        asked, rows = list[pl.DataFrame](), None
        for part in parts:
            if part[:1] == _REFERENCES:
                asked.append(decode(part[1:]))
            else:
                rows = decode(part[1:])  # equal frames have one name: any of them will do
        if not asked:
            return
        references = pl.concat(asked).sort(FILE_ROW)
        self.came(references.height)
        staged = self._staged(name) if self._store else rows
        assert staged is not None  # noqa: S101  # who refers to rows has let them wait
        yield self.counted(staged[references[FILE_ROW]].with_columns(references.drop(FILE_ROW).get_columns()))

    def _staged(self, name: str) -> pl.DataFrame:
        assert self._store is not None  # noqa: S101  # asked only where there is one
        if self._kept:
            return _memory.take(self._store.root, name)
        return decode(self._store.get(_path(self._folder, name)))


class _Memory:
    """Frames of this process that wait within a run, by the place of the checkpoint."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[str, dict[str, pl.DataFrame]]] = {}
        self._lock = threading.Lock()

    def keep(self, root: str, folder: str, name: str, frame: pl.DataFrame) -> None:
        """Let a frame wait; those of an earlier run have been left by a failure."""
        with self._lock:
            if self._runs.get(root, ("", {}))[0] != folder:
                self._runs[root] = folder, {}
            self._runs[root][1][name] = frame

    def take(self, root: str, name: str) -> pl.DataFrame:
        """A frame, which waits no longer."""
        with self._lock:
            return self._runs[root][1].pop(name)


_memory: Final = _Memory()


def _keeps(frames: Any) -> bool:
    """Whether the pipeline's engine is this one process."""
    return bool(getattr(frames.pipeline.runner, "in_process", False))


def _referred(frame: pl.DataFrame, name: str, columns: list[str]) -> pl.DataFrame:
    row = pl.int_range(frame.height, dtype=pl.UInt32).alias(FILE_ROW)
    return frame.select(columns).with_columns(pl.lit(name).alias(FILE), row)


def _waiting(frame: pl.DataFrame) -> tuple[str, bytes]:
    data = encode(frame)
    return _name(data), _ROWS + data


def _name(data: bytes) -> str:
    """Derived from the content, because a runner may recompute a frame."""
    return digest(data)


def _folder(store: Store) -> str:
    return str(json.loads(store.get(CURRENT))["folder"])


def _path(folder: str, name: str) -> str:
    return f"{folder}/rows/{name}.arrow"
