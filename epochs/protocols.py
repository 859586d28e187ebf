"""What the driver asks of the outside; `ecompulse.io` implements it."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

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


@dataclass(frozen=True)
class Owner:
    """Whose rows a driver writes: a sink holds those of one checkpoint for each job and instance.

    Attributes:
        job: name of the job.
        checkpoint: id of the checkpoint.
        instance: name that tells jobs of one kind apart which share tables; None for the only one.
        succeeds: ids of checkpoints whose rows this one goes on with.
        replace: the rows of any other checkpoint go, in the transaction that brings the first of ours.
    """

    job: str
    checkpoint: str
    instance: str | None = None
    succeeds: tuple[str, ...] = ()
    replace: bool = False

    @property
    def name(self) -> str:
        """Of the job, with the instance."""
        return self.job if self.instance is None else f"{self.job}/{self.instance}"

    @property
    def lineage(self) -> tuple[str, ...]:
        """Ids of the checkpoints whose rows count as ours."""
        return self.checkpoint, *self.succeeds

    def conflict(self, place: str, other: str) -> str:
        """What to say of rows of another checkpoint, and the ways out."""
        return (
            f"{place} holds rows of {self.name} from another checkpoint ({other}); --replace starts anew on the same "
            "tables, --instance=NAME keeps both side by side, or choose another place"
        )


NOBODY: Final = Owner("", "")
"""Of a sink that is not open yet."""


@dataclass(frozen=True)
class TableSpec:
    """An output table.

    Attributes:
        schema: columns, without `job` and `epoch`, which every table gets.
        time: column whose UTC date partitions the table in the lake.
        warehouse: whether the warehouse holds it.
        key: columns whose first value that is not null is a row's key in Kafka, which keeps the order per key; the
            `id` where there are none.
        revised: rows are upserted by `id`, the highest `revision` stands.
        ids: further columns that hold ids of rows, here or in another table.
        asked_by: columns that readers of the warehouse name before they ask for a range of `time`: its index.
    """

    name: str
    schema: pl.Schema
    time: str
    warehouse: bool = False
    revised: bool = False
    key: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    asked_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataFile:
    """A file that workers wrote for one epoch; named in its seal."""

    path: str  # relative to the outputs' root
    rows: int
    bytes: int
    sha256: str
    partition: str  # UTC date
    stats: Mapping[str, Any] = field(default_factory=dict)


class Sink(Protocol):
    """Takes a sealed epoch, idempotently: publishing one again changes nothing."""

    @property
    def name(self) -> str: ...

    def open(self, tables: Sequence[TableSpec], owner: Owner) -> None:
        """Create or evolve what the tables need; called once per start.

        UserError when a table holds rows of another checkpoint of the same job and instance that are not to go.
        """
        ...

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Make the rows of these files, if there are any, visible, once, however often it is called."""
        ...


class Outbox(Protocol):
    """Tells people what an epoch's tables of alerts say, at least once, and never holds up an epoch for long."""

    def open(self, owner: Owner) -> None:
        """Take up what an earlier driver left; called once per start."""
        ...

    def take(self, epoch: int, tables: Sequence[tuple[TableSpec, Sequence[DataFile]]]) -> None:
        """Keep what is to be told of a sealed epoch; safe to repeat."""
        ...

    def deliver(self) -> None:
        """Tell what waits, as far as that can be done in a few seconds."""
        ...

    def finish(self) -> int:
        """At the end of a run: tell what waits, with more patience; how much is left."""
        ...


class Holder(Protocol):
    """A sink as the audit sees it.

    Attributes:
        name: of the sink, as the checkpoint remembers it.
        keeps_all: whether every row that was published is there; else one per id, the highest revision.
    """

    @property
    def name(self) -> str: ...
    @property
    def keeps_all(self) -> bool: ...

    def tables(self) -> Sequence[str]:
        """Tables that it holds, as far as it can tell."""
        ...

    def holdings(self, table: str, owner: Owner) -> pl.DataFrame | None:
        """Rows of a table that are the owner's (HOLDINGS_SCHEMA of `reconcile`); None where there is no such table."""
        ...


@runtime_checkable
class EpochSink(Sink, Protocol):
    """A sink that takes all tables of an epoch at once, because it can make them visible together."""

    def publish_epoch(self, epoch: int, tables: Sequence[tuple[TableSpec, Sequence[DataFile]]]) -> None:
        """As `publish`, of all tables."""
        ...
