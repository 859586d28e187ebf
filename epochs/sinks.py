"""What the driver asks of sinks, and what it gives them; `ecompulse.io` implements them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import polars as pl


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
