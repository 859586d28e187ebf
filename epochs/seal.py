"""Seals and commits: what an epoch consists of, and that it has happened; each written once."""

from dataclasses import dataclass, field, fields
from typing import Any

from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.records import check, read_record, sign
from ecompulse.epochs.telemetry import Telemetry


@dataclass(frozen=True)
class Seal:
    """The content of an epoch.

    Attributes:
        watermark: in force during the epoch (ms); None while nothing was known.
        now: processing time of the epoch (ms).
        ranges: what was read, for people and for lag.
        positions: per source, the changes of its positions.
        snapshot: whether `positions` is complete rather than a change.
        partitions: per source partition, `[top, active]`: the largest event time (ms) seen through this
            epoch, null before the first event, and the processing time (ms) of its last rows.
        state: per operator and shard, the head of its state.
        files: per output table, the files of this epoch.
        counts: totals for progress.
        past: watermarks of this epoch and earlier ones, newest first, for operators that lag.
        drains: how many of the last epochs in a row, this one included, were drains.
        notes: per source, further facts beyond its ranges, for progress.
        rows: rows read by source partition; where a source has gaps, fewer than its ranges hold.
        ages: events by bucket of their age at `now`; the commit computes the latency from them.
        told: telemetry of parts of the job, for progress (see `telemetry`).
        accounts: where the rows that were read are, by name (see `Scope.account`).
        upserted: tables for which a warehouse holds one row per id.
        loaded: per operator, bytes of state that workers read in this epoch, for progress.
        totals: rows since the checkpoint's first epoch, for the audit of its sinks (see `totals`).
    """

    epoch: int
    attempt: str
    fencing_token: int
    watermark: int | None
    now: int
    ranges: list[dict[str, Any]]
    positions: list[dict[str, Any]]
    snapshot: bool
    partitions: dict[str, list[int | None]]
    state: dict[str, dict[str, Any]]
    files: dict[str, list[dict[str, Any]]]
    counts: dict[str, int] = field(default_factory=dict)
    backlog: int = 0
    past: list[int | None] = field(default_factory=list)
    drains: int = 0
    notes: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    ages: dict[str, int] = field(default_factory=dict)
    told: Telemetry = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    upserted: list[str] = field(default_factory=list)
    loaded: dict[str, int] = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)

    def dump(self) -> bytes:
        """As canonical JSON."""
        return sign(self.__dict__)

    @staticmethod
    def load(data: bytes) -> "Seal":
        """The inverse of `dump`; ValueError for data that is not a seal.

        Further fields, sealed by another version, are ignored, so that one can go back to an older version.
        """
        known = {each.name for each in fields(Seal)}
        try:
            return Seal(**{name: value for name, value in check(data).items() if name in known})
        except (AttributeError, TypeError) as error:
            raise ValueError(f"is no seal: {error}") from None


def state_files(seal: Seal) -> dict[str, str]:
    """All state files that a seal refers to: name to SHA-256."""
    return {
        run["file"]: run["sha256"]
        for shards in seal.state.values()
        for head in shards.values()
        for runs in head["tables"].values()
        for run in runs
    }


def load_seal(store: Store, epoch: int) -> Seal | None:
    """A seal by number; None when it is not there."""
    try:
        return Seal.load(store.get(seal_name(epoch)))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StateDamaged(f"{store.root}/{seal_name(epoch)} is damaged: {error}") from None


def load_commit(store: Store, epoch: int) -> dict[str, Any]:
    """The progress that an epoch was committed with; StateDamaged, naming the file, when the file is not valid."""
    found = read_record(store, commit_name(epoch))
    if not isinstance(found, dict) or "batchId" not in found:
        raise StateDamaged(f"{store.root}/{commit_name(epoch)} is damaged: is no progress")
    return found


def sealed(store: Store, epoch: int) -> Seal:
    """The seal of an epoch that must have one; StateDamaged, naming it, when it is missing."""
    seal = load_seal(store, epoch)
    if seal is None:
        raise StateDamaged(f"{store.root}/{seal_name(epoch)} is missing")
    return seal


def seal_name(epoch: int) -> str:
    """Name of an epoch's seal."""
    return f"seals/{epoch:08d}.json"


def commit_name(epoch: int) -> str:
    """Name of an epoch's commit."""
    return f"commits/{epoch:08d}.json"


def epoch_of(name: str) -> int:
    """Epoch of a seal or commit, from its name; StateDamaged for an invalid name."""
    number = name.rsplit("/", 1)[1].split(".", maxsplit=1)[0]
    if not number.isdecimal():
        raise StateDamaged(f"{name} does not belong into a checkpoint")
    return int(number)
