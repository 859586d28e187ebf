"""The protocols through which the driver reaches the outside; `ecompulse.io` implements them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import polars as pl

ENCRYPTED: Final = b"ecompulse-enc1\n"
"""First bytes of a blob that a store has encrypted."""


class Clockwork(Protocol):
    """Processing time, injected so that tests need not sleep."""

    def now(self) -> int:
        """UTC, in ms."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after `seconds`, or when `stop` is set."""
        ...


class Store(Protocol):
    """Named blobs below a root. Picklable: workers get a copy."""

    @property
    def root(self) -> str: ...

    def create(self, name: str, data: bytes) -> bool:
        """Write once and durably; False, and nothing written, when the name exists."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write or replace, atomically."""
        ...

    def get(self, name: str) -> bytes:
        """Content; FileNotFoundError when absent."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Names below the folder `prefix`, recursively, sorted."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Remove; absent names are no error."""
        ...

    def age(self, name: str) -> float:
        """Seconds since the blob was written; FileNotFoundError when absent."""
        ...


@dataclass(frozen=True)
class Split:
    """A range that one worker reads: rows that start in [start, end) of a file, or offsets of a partition.

    Attributes:
        source: index of the `--source`.
        partition: source partition whose watermark it moves.
        uri: file, or topic.
        rows: number of rows, an upper bound where the source has gaps.
        exact: whether there are exactly `rows` rows.
        values: partition values of a table, as text: columns that are constant in the range and not in the file.
        fault: why the file cannot be read, if the range stands for its dead letter.
    """

    source: int
    partition: int
    uri: str
    start: int
    end: int
    rows: int
    exact: bool = True
    values: Mapping[str, str | None] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True)
class Backlog:
    """What a source can provide for an epoch.

    Attributes:
        splits: ranges to read, in order.
        positions: the source's positions after these splits, by name (merged into the earlier ones).
        ended: partitions that these splits read to the end, as of now.
        partitions: all partitions of the source.
        left: rows that remain after these splits, of files an estimate; 0 when none.
        notes: further facts about the source for the progress: lag by partition, lost offsets, WAITING.
        written: last write time of the data in the splits (UTC ms), by the file system's clock; None if unknown.
    """

    splits: Sequence[Split]
    positions: Mapping[str, Any]
    ended: frozenset[int]
    partitions: frozenset[int]
    left: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)
    written: int | None = None


UNREADABLE: Final = "unreadable"
"""Note of a source: why files are not read, by file."""

WAITING: Final = "waiting"
"""Note of a source: bytes, by file, that are not a complete row yet."""

DEAD_LETTERS: Final = "dead_letters"
"""Output of decoding that holds bad rows, with `rule` and `message`."""

EVENTS = "events"
"""Role of the sources whose partitions hold back the watermark."""

REPLAY = "replay"
"""Role of the inbox of dead letters: its rows are events, but do not hold back the watermark."""


class Source(Protocol):
    """One `--source`, on the driver's side.

    Attributes:
        uri: as given.
        role: `events`; or a role that does not hold back the watermark: an update stream's name, or `replay`.
    """

    @property
    def uri(self) -> str: ...
    @property
    def role(self) -> str: ...

    def reads(self) -> frozenset[str]:
        """The files, tables or topics that it would read now, by names that do not depend on how `uri` spells them."""
        ...

    def columns(self, most: int) -> Iterator[tuple[str, Sequence[str]]]:
        """Column names of at most `most` files or tables; nothing for rows that name their own fields.

        UserError for a header without names.
        """
        ...

    def plan(self, positions: Mapping[str, Any], max_rows: int, tops: Mapping[int, int], *, whole: bool) -> Backlog:
        """Choose what the next epoch reads, at most `max_rows`, after `positions`.

        `tops` has the largest event time seen (ms) of each partition that has begun: most rows are taken from the one
        furthest behind. `whole`: the input is complete, so a last line without a line end counts as a row.
        """
        ...

    def reader(self) -> "Reader":
        """Its counterpart on the worker; picklable."""
        ...


class Reader(Protocol):
    """One `--source`, on a worker."""

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """Batches of RAW_SCHEMA; for columnar files, frames with the position columns."""
        ...
