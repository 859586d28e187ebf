"""What the driver asks of the outside; `ecompulse.io` implements it."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import polars as pl

ENCRYPTED: Final = b"ecompulse-enc1\n"
"""How a blob begins that a store has encrypted."""


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
        exact: whether there are just so many rows.
        values: of columns that are the same in all its rows and not in the file, as text: a table's partition.
        fault: why a file cannot be read, if the range stands for a dead letter of it.
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
    """What a source has to offer for an epoch.

    Attributes:
        splits: ranges to read, in order.
        positions: what to remember of the source after them, by name (merged into what was known).
        ended: partitions that these splits read to the end, as of now.
        partitions: all partitions of the source.
        left: rows or bytes known to remain after them, for progress; 0 when none.
        notes: what else the progress says of the source: lag by partition, offsets that were lost, WAITING.
        written: when what the splits read was last written to (UTC ms), by the file system's clock; None if unknown.
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
"""Note of a source: bytes, by file, that are no complete row yet."""

DEAD_LETTERS: Final = "dead_letters"
"""Output of decoding that holds bad rows, with `rule` and `message`."""

EVENTS = "events"
"""Role of the sources whose partitions hold the watermark."""

REPLAY = "replay"
"""Role of the inbox of dead letters: its rows are events, and hold no watermark."""


class Source(Protocol):
    """One `--source`, on the driver's side.

    Attributes:
        uri: as given.
        role: `events`, or what holds no watermark: the name of an update stream of a join, or `replay`.
    """

    @property
    def uri(self) -> str: ...
    @property
    def role(self) -> str: ...

    def reads(self) -> frozenset[str]:
        """What it would read now, by names that are the same however it was asked for: files, tables, topics."""
        ...

    def columns(self, most: int) -> Iterator[tuple[str, Sequence[str]]]:
        """Names of the columns of at most so many files or tables; nothing of rows that name their fields themselves.

        UserError for a header that names none.
        """
        ...

    def plan(self, positions: Mapping[str, Any], max_rows: int, tops: Mapping[int, int], *, whole: bool) -> Backlog:
        """Choose what the next epoch reads, at most `max_rows`, after `positions`.

        `tops` has the largest event time seen (ms) of each partition that has begun: most is taken from the one
        furthest behind. `whole`: the input is complete, so that a last line without its line end counts.
        """
        ...

    def reader(self) -> "Reader":
        """The worker's side of it; picklable."""
        ...


class Reader(Protocol):
    """One `--source`, on a worker."""

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """Batches of RAW_SCHEMA, or for columnar files frames with the position columns."""
        ...
