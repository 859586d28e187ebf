"""Reading the ranges of a plan: small ones together, since a small batch costs as much to decode as a large one."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import polars as pl

from ecompulse.epochs.counted import FACTS, CountedDoFn, fact
from ecompulse.epochs.latency import add_ages, ages
from ecompulse.epochs.protocols import DEAD_LETTERS, EVENTS, Reader, Split
from ecompulse.epochs.steps import Step, reach
from ecompulse.kernels.event import HEADER
from ecompulse.kernels.step import Clock

Decode = Callable[[pl.DataFrame, Clock], Mapping[str, pl.DataFrame | int]]
"""Raw rows and clock to frames by output name; `events` is the main one, with `event_time`. A number is told as it is.

The events of a source of several partitions keep `source` and `partition` of their raw rows.
"""

JOINED_ROWS: Final = 50_000
"""Rows from which a batch is cheap. Twice as many cost a twentieth less each, if there are enough for all threads."""

JOINED_BYTES: Final = 96 * 1024 * 1024
"""Bytes of rows that are read together at the most."""

_PLACE: Final = ("source", "source_partition")


def grouped(splits: Sequence[Split], roles: Sequence[str], threads: int = 1) -> Iterator[tuple[str, list[int]]]:
    """Indices of the splits of a role that are read together, of one source.

    There are about `joined_rows` rows in a group, and at least as many groups as `threads` if there are rows for them.
    Other streams are read together only within one partition, because their reshaped rows do not say where they come
    from.
    """
    wanted = joined_rows(sum(split.rows for split in splits), threads)
    held: dict[tuple[str, int, int], list[int]] = {}
    rows: dict[tuple[str, int, int], int] = {}
    for index, (split, role) in enumerate(zip(splits, roles, strict=True)):
        key = (role, split.source, 0 if role == EVENTS else split.partition)
        in_group = rows.get(key, 0)
        if key in held and in_group + split.rows - wanted > wanted - in_group:  # it is nearer without this one
            yield role, held.pop(key)
            in_group = 0
        held.setdefault(key, []).append(index)
        rows[key] = in_group + split.rows
        if rows[key] >= wanted:
            yield role, held.pop(key)
            rows[key] = 0
    for (role, _, _), group in held.items():
        yield role, group


def joined_rows(rows: int, threads: int) -> int:
    """How many of an epoch's rows are read together."""
    return max(JOINED_ROWS, min(2 * JOINED_ROWS, rows // threads))


@dataclass
class _Told:
    """The report of one split.

    Attributes:
        name: of its partition in the manifest.
        places: (source, partition) of its raw rows.
    """

    name: str
    rows: int = 0
    top: int | None = None
    places: set[tuple[Any, ...]] = field(default_factory=set)


class ReadRows(CountedDoFn):
    """Reads and decodes the ranges of one role."""

    audited = False

    def __init__(self, readers: Sequence[Reader | None], decode: Decode, aged: bool) -> None:
        """`readers` by number of the source; `aged`: whether the latency of these rows is measured."""
        self._readers = readers
        self._decode = decode
        self._aged = aged

    def process(self, element: bytes) -> Iterable[Any]:
        """Frames by output name, and the report of each split under FACTS."""
        raw_splits, raw_clock = json.loads(element)
        splits, clock = {index: Split(**raw) for index, raw in raw_splits}, Clock(**raw_clock)
        told = {index: _Told(f"{split.source}/{split.partition}") for index, split in splits.items()}
        counts, old, dead = dict[str, int](), dict[str, int](), dict[str, Any]()
        reach(Step.READING)
        for batch in self._batches(splits, told):
            self.came(batch.height)
            for name, frame in self._decode(batch, clock).items():
                if isinstance(frame, int):
                    counts[name] = counts.get(name, 0) + frame
                    continue
                counts[name] = counts.get(name, 0) + frame.height
                self.went(frame.height, name)
                if name == DEAD_LETTERS:
                    _add_reasons(dead, frame)
                if name == EVENTS:
                    _note_tops(frame, list(told.values()))
                    add_ages(old, ages(frame, clock.now) if self._aged else {})
                if not frame.is_empty():
                    yield beam.pvalue.TaggedOutput(name, frame)
        for number, (index, found) in enumerate(told.items()):
            once = {} if number else {"counts": counts, "ages": old, "dead": dead}  # of all together
            seen = {"split": index, "read": found.name, "rows": found.rows, "top": found.top}
            yield beam.pvalue.TaggedOutput(FACTS, fact({"counts": {}, "ages": {}, "dead": {}, **seen, **once}))

    def _batches(self, splits: Mapping[int, Split], told: Mapping[int, _Told]) -> Iterator[pl.DataFrame]:
        """Raw rows, of one split or of several with the same columns; counts them."""
        held: list[pl.DataFrame] = []
        rows = size = 0
        for index, split in splits.items():
            for batch in self._reader(split).read(split):
                told[index].rows += batch.height
                if batch.height:
                    told[index].places.add(batch.select(_PLACE).row(0))
                more = int(batch.estimated_size())
                full = rows + batch.height > 5 * JOINED_ROWS // 2 or size + more > JOINED_BYTES
                if held and (full or not _alike(batch, held[0])):
                    yield pl.concat(held, rechunk=True)
                    held, rows, size = [], 0, 0
                held.append(batch)
                rows += batch.height
                size += more
        if held:
            yield pl.concat(held, rechunk=True)

    def _reader(self, split: Split) -> Reader:
        reader = self._readers[split.source]
        if reader is None:
            raise ValueError(f"no reader for source {split.source}")
        return reader


def _alike(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether batches can be decoded together: they have the same columns, and for rows of CSV the same header."""
    if one.schema != other.schema:
        return False
    headers = [batch[HEADER].head(1).to_list() for batch in (one, other) if HEADER in batch.columns]
    return headers[:1] == headers[1:]


def _add_reasons(dead: dict[str, Any], letters: pl.DataFrame) -> None:
    """Rows by rule, and the message of one of them."""
    counted = letters.group_by("rule", maintain_order=True).agg(pl.len().alias("rows"), pl.col("message").first())
    for rule, rows, message in counted.iter_rows():
        known = dead.setdefault(rule, {"rows": 0, "message": message})
        known["rows"] += rows


def _note_tops(events: pl.DataFrame, told: Sequence[_Told]) -> None:
    """The latest event of each partition, reported with any of its splits."""
    if len({found.name for found in told}) == 1:
        told[0].top = _latest(told[0].top, events["event_time"].dt.epoch("ms").max())
        return
    tops = events.group_by(_PLACE).agg(pl.col("event_time").max().dt.epoch("ms"))
    for *place, top in tops.iter_rows():
        of_place = next(found for found in told if tuple(place) in found.places)
        of_place.top = _latest(of_place.top, top)


def _latest(*times: object) -> int | None:
    return max((time for time in times if isinstance(time, int)), default=None)
