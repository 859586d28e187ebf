"""The protocols of sinks and the data that the driver passes to them; `ecompulse.io` implements them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import polars as pl

from ecompulse.epochs.errors import UserError


@dataclass(frozen=True)
class Owner:
    """Whose rows a driver writes: a sink holds those of one checkpoint for each job and instance.

    Attributes:
        job: name of the job.
        checkpoint: id of the checkpoint.
        instance: name that distinguishes jobs of one kind that share tables; None for the only one.
        succeeds: ids of earlier checkpoints whose rows this one continues.
        replace: whether the rows of other checkpoints are deleted, in the transaction that writes our first rows.
        sealed: the last epoch that the checkpoint had sealed at the start; None where that is not known.
    """

    job: str
    checkpoint: str
    instance: str | None = None
    succeeds: tuple[str, ...] = ()
    replace: bool = False
    sealed: int | None = None

    @property
    def name(self) -> str:
        """Name of the job, with the instance."""
        return self.job if self.instance is None else f"{self.job}/{self.instance}"

    @property
    def lineage(self) -> tuple[str, ...]:
        """Ids of the checkpoints whose rows count as ours."""
        return self.checkpoint, *self.succeeds

    def check_copy(self, place: str, epoch: int) -> None:
        """UserError when a place has an epoch of this checkpoint that the checkpoint has not sealed.

        An older copy would seal other epochs under the numbers that are there, and nobody would take them.
        """
        if self.sealed is not None and epoch > self.sealed:
            raise UserError(
                f"{place} has epoch {epoch} of this checkpoint, and the checkpoint only {self.sealed}: it is an older "
                "copy; bring back the newest (`python -m pipelines.checkpoint restore` from a --checkpoint_backup), or "
                "begin again with another --checkpoint and --replace"
            )

    def conflict(self, place: str, other: str) -> str:
        """Error message for rows of another checkpoint, with the remedies."""
        return (
            f"{place} holds rows of {self.name} from another checkpoint ({other}); --replace starts anew on the same "
            "tables, --instance=NAME keeps both side by side, or choose another place"
        )


NOBODY: Final = Owner("", "")
"""Owner of a sink that is not open yet."""


@dataclass(frozen=True)
class TableSpec:
    """An output table.

    Attributes:
        schema: columns, except `job` and `epoch`, which every table gets.
        time: column whose UTC date partitions the table in the lake.
        warehouse: whether the warehouse holds it.
        key: columns of which the first that is not null is a row's key in Kafka, which keeps the order per key; if all
            are null, the key is the `id`.
        revised: rows are upserted by `id`; the highest `revision` wins.
        ids: further columns that hold ids of rows, here or in another table.
        asked_by: columns that readers of the warehouse filter by before a range of `time`; both form its index.
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


class Sink(Protocol):
    """Takes a sealed epoch, idempotently: publishing one again changes nothing."""

    @property
    def name(self) -> str: ...

    def open(self, tables: Sequence[TableSpec], owner: Owner) -> None:
        """Create or evolve what the tables need; called once per start.

        UserError when a table holds rows of another checkpoint of the same job and instance that must not be replaced.
        """
        ...

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Make the rows of these files (if any) visible exactly once, however often it is called."""
        ...


class Outbox(Protocol):
    """Delivers the rows of an epoch's alert tables at least once, and never delays an epoch for long."""

    def open(self, owner: Owner) -> None:
        """Load the alerts that an earlier driver left undelivered; called once per start."""
        ...

    def take(self, epoch: int, tables: Sequence[tuple[TableSpec, Sequence[DataFile]]]) -> None:
        """Store the alerts of a sealed epoch for delivery; safe to repeat."""
        ...

    def deliver(self) -> None:
        """Deliver waiting alerts, as far as that is possible in a few seconds."""
        ...

    def finish(self) -> int:
        """At the end of a run: deliver waiting alerts, for longer; returns how many are left."""
        ...


class Holder(Protocol):
    """A sink as the audit sees it.

    Attributes:
        name: of the sink, as the checkpoint remembers it.
        keeps_all: whether it holds every published row; else it holds one per id, the highest revision.
    """

    @property
    def name(self) -> str: ...
    @property
    def keeps_all(self) -> bool: ...

    def tables(self) -> Sequence[str]:
        """Tables that it holds, as far as it can tell."""
        ...

    def holdings(self, table: str, owner: Owner) -> pl.DataFrame | None:
        """The owner's rows of a table (HOLDINGS_SCHEMA of `reconcile`); None where there is no such table."""
        ...


@runtime_checkable
class EpochSink(Sink, Protocol):
    """A sink that takes all tables of an epoch at once, because it can make them visible together."""

    def publish_epoch(self, epoch: int, tables: Sequence[tuple[TableSpec, Sequence[DataFile]]]) -> None:
        """Like `publish`, for all tables."""
        ...
