"""A job as the page shows it: epochs, watermark, backlog, state. A stopped job shows too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ecompulse.epochs.failures import Failure
from ecompulse.ui.clock import moment
from ecompulse.ui.disks import Disks
from ecompulse.ui.notes import notes_of
from ecompulse.ui.operators import Lag, Operator
from ecompulse.ui.states import MARKS
from ecompulse.ui.words import moment as shown_moment
from ecompulse.ui.words import size

_TREND: Final = 10  # epochs


@dataclass(frozen=True)
class Job:
    """A job as its checkpoint shows it.

    Attributes:
        key: number of the checkpoint on the page.
        place: of the checkpoint.
        state: `running`, `stopped`, `never ran` or `unreadable`.
        epochs: progress of the last committed epochs, oldest first.
        watermarks: source partition to the largest event time seen (ms), from the last seal; None before any event.
        starts: how often a driver has started.
        pending: an epoch is sealed, and not committed.
        failure: what fails since the last commit; None when nothing does.
        disks: that it writes to.
        error: why the checkpoint cannot be read.
    """

    key: int
    place: str
    name: str
    state: str
    instance: str | None = None
    epochs: Sequence[Mapping[str, Any]] = ()
    watermarks: Mapping[str, int | None] = field(default_factory=dict)
    operators: Sequence[Operator] = ()
    sources: Sequence[str] = ()
    starts: int = 0
    pending: bool = False
    failure: Failure | None = None
    disks: Disks = field(default_factory=dict)
    error: str = ""

    @property
    def last(self) -> Mapping[str, Any]:
        """Progress of the last epoch; empty before the first."""
        return self.epochs[-1] if self.epochs else {}

    @property
    def title(self) -> str:
        """Name, and instance if there are several."""
        return self.name if self.instance is None else f"{self.name} ({self.instance})"

    @property
    def watermark(self) -> int | None:
        """Of the last epoch, ms; None while nothing is known."""
        return moment(self.last.get("eventTime", {}).get("watermark"))

    @property
    def committed(self) -> int | None:
        """When the last epoch was planned, ms."""
        return moment(self.last.get("timestamp"))

    @property
    def backlog(self) -> int:
        """Rows that wait, as far as the sources say; of files an estimate."""
        return int(self.last.get("backlog", 0))

    @property
    def clears_in(self) -> float | None:
        """Seconds until the backlog is worked off at the rate of the last epochs; None when that is not known."""
        timed = [epoch for epoch in self.epochs[-5:] if epoch["numInputRows"]]
        busy = sum(epoch["durationMs"]["total"] for epoch in timed) / 1000
        rows = sum(epoch["numInputRows"] for epoch in timed)
        return self.backlog / (rows / busy) if rows and busy else None

    @property
    def p95(self) -> int | None:
        """Latency from event to commit that 95 % of the events of the last epoch with events kept below, ms."""
        measured = [epoch["measured"] for epoch in self.epochs if epoch.get("measured")]
        return measured[-1]["latencyMs"]["p95"]["ms"] if measured else None

    @property
    def dead(self) -> int:
        """Dead letters of the epochs that are shown."""
        return self.total("dead_letters")

    def total(self, table: str) -> int:
        """Rows of a table in the epochs that are shown."""
        return sum(epoch["sink"]["tables"].get(table, 0) for epoch in self.epochs)

    def _sums(self, part: str) -> dict[str, int]:
        """Numbers of a part of the progress, by name, over the epochs that are shown."""
        sums: dict[str, int] = {}
        for epoch in self.epochs:
            for name, number in epoch.get(part, {}).items():
                sums[name] = sums.get(name, 0) + number
        return sums

    @property
    def retries(self) -> Mapping[str, int]:
        """What was tried again in the epochs that are shown, by what failed."""
        return self._sums("retries")

    @property
    def retry_rows(self) -> Sequence[tuple[str, int, str]]:
        """What was tried again, how often, and why the last time, as a table."""
        why = {kind: line for epoch in self.epochs for kind, line in epoch.get("errors", {}).items()}
        return [(kind, times, why.get(kind, "")) for kind, times in self.retries.items() if times]

    @property
    def breakers(self) -> Mapping[str, str]:
        """State of the circuit breaker of each look-up in the last epoch."""
        return {name: use["breaker"] for name, use in self.last.get("lookups", {}).items()}

    @property
    def notes(self) -> Sequence[str]:
        """What needs a look now, the gravest first."""
        return notes_of(self.failure, self.epochs, self.disks)

    @property
    def accounts(self) -> Mapping[str, int]:
        """Where the rows of the epochs that are shown are, most first."""
        return dict(sorted(self._sums("accounts").items(), key=lambda account: -account[1]))

    @property
    def durations(self) -> Mapping[str, int]:
        """Ms of the epochs that are shown, by phase, the longest first."""
        spent = {phase: ms for phase, ms in self._sums("durationMs").items() if ms and phase != "total"}
        return dict(sorted(spent.items(), key=lambda phase: -phase[1]))

    @property
    def holder(self) -> str | None:
        """The source partition that holds the watermark: the one furthest behind; None when none has events."""
        known = {name: top for name, top in self.watermarks.items() if top is not None}
        return min(known, key=lambda name: known[name]) if known else None

    @property
    def lags(self) -> Sequence[Lag]:
        """Offsets behind by partition of the sources that say so."""
        told = ((source["description"], source.get("lag") or {}) for source in self.last.get("sources", ()))
        found = [Lag(name, partition, int(lag)) for name, by in told if isinstance(by, Mapping)
                 for partition, lag in by.items()]  # fmt: skip
        return sorted(found, key=lambda each: -each.lag)

    @property
    def held(self) -> Sequence[tuple[str, str]]:
        """Source partitions and the latest event of each, the one that holds the watermark first."""
        known = sorted(self.watermarks.items(), key=lambda part: (part[1] is None, part[1] or 0))
        return [(name, shown_moment(top)) for name, top in known]

    @property
    def lag_rows(self) -> Sequence[tuple[str, str, int]]:
        """Partitions behind, as a table."""
        return [(each.source, each.partition, each.lag) for each in self.lags]

    @property
    def operator_rows(self) -> Sequence[tuple[str, int, str, int, str]]:
        """Keyed state, as a table."""
        return [
            (each.name, each.rows, size(each.bytes), each.shards,
             "N/A because it has no rows" if each.skew is None else f"{each.skew:.2f}")
            for each in self.operators
        ]  # fmt: skip

    @property
    def epoch_rows(self) -> Sequence[tuple[Any, ...]]:
        """The epochs as a table, the last first."""
        return [
            (epoch["batchId"], shown_moment(moment(epoch["timestamp"])), epoch["numInputRows"],
             epoch["sink"]["numOutputRows"], epoch["durationMs"]["total"], epoch["backlog"],
             shown_moment(moment(epoch["eventTime"]["watermark"])))
            for epoch in reversed(self.epochs)
        ]  # fmt: skip

    @property
    def gaps(self) -> Sequence[int | None]:
        """Ms by which the watermark was behind the clock at each epoch."""
        found = ((moment(epoch["timestamp"]), moment(epoch["eventTime"]["watermark"])) for epoch in self.epochs)
        return [None if at is None or mark is None else at - mark for at, mark in found]

    @property
    def trend(self) -> str:
        """Whether the watermark has come nearer to the clock over the last ten epochs; empty while nobody can say."""
        known = [gap for gap in self.gaps[-_TREND:] if gap is not None]
        if len(known) < 2:  # noqa: PLR2004  # a trend needs two
            return ""
        change, slack = known[-1] - known[0], max(1000, abs(known[0]) // 20)
        return "growing" if change > slack else "shrinking" if change < -slack else "steady"

    @property
    def backed_up(self) -> str:
        """When the backup last took an epoch, as far as these epochs show."""
        taken = [epoch for epoch in self.epochs if "backup" in epoch["durationMs"]]
        return f"epoch {taken[-1]['batchId']}, {shown_moment(moment(taken[-1]['timestamp']))}" if taken else "none"

    @property
    def model_rows(self) -> Sequence[tuple[str, float]]:
        """What is known of the models of fraud, drift included, as a table; empty for other jobs."""
        return list(self.last.get("models", {}).items())

    def gap(self, now: int) -> int | None:
        """Ms by which the watermark is behind `now`; None while nothing is known."""
        return None if self.watermark is None else now - self.watermark

    def trouble(self, now: int) -> tuple[int, int]:
        """Greater for a job that needs a look sooner."""
        marks = MARKS[self.state] + 2 * (self.failure is not None) + 2 * bool(self.notes)
        marks += (self.retries.get("run", 0) > 0) + (self.dead > 0)
        return marks, self.gap(now) or 0
