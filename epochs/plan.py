"""Plans: which ranges an epoch reads, under which clock, on top of which state."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from ecompulse.epochs.protocols import EVENTS, REPLAY, UNREADABLE, WAITING, Backlog, Source, Split
from ecompulse.epochs.seal import Seal
from ecompulse.epochs.totals import Totals
from ecompulse.epochs.watermark import Seen, WatermarkPolicy, shares
from ecompulse.kernels.step import END_OF_TIME, Clock, Kernel

CURRENT: Final = "current.json"
MOST_LAG: Final = 4
"""Number of epochs whose watermarks a seal remembers; the lag of an operator must be smaller."""
UNKNOWN: Final = -1
"""Watermark (ms) of a clock while nothing is known: no row is late, no window closes."""


@dataclass(frozen=True)
class Operator:
    """A keyed operator of a job.

    Attributes:
        kernel: what it does.
        lag: epochs by which its watermark is behind. An operator that is fed by one that holds rows until the
            watermark has passed them sees them one epoch later, and must not take them for late. None: as many as
            follow from its input.
        hold: ms of event time by which its watermark is behind, where rows were held for that long.
        every: ms of processing time after which it needs an epoch even if no row came; None: never.
        fixed: settings, by flag, that its state depends on: a checkpoint made with others is refused.
    """

    kernel: Kernel
    lag: int | None = None
    hold: int = 0
    every: int | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the kernel."""
        return self.kernel.name


@dataclass(frozen=True)
class Plan:
    """One run of an epoch, as workers read it from `runs/<epoch>-<attempt>/plan.json`.

    Attributes:
        roles: of the source of each split.
        watermarks: per operator, the watermark (ms) that its steps see.
        state: per operator and shard, the head of the state before the epoch; null for an empty one.
        measured: what the driver measured of the epoch before, at its commit (`latency.measure`).
    """

    epoch: int
    attempt: str
    clock: Clock
    splits: Sequence[Split]
    roles: Sequence[str]
    watermarks: Mapping[str, int]
    state: Mapping[str, Mapping[str, Any]]
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where this run leaves its plan and manifest."""
        return f"runs/{self.epoch:08d}-{self.attempt}"

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def load(data: bytes) -> "Plan":
        """The inverse of `dump`."""
        raw = json.loads(data)
        raw["clock"] = Clock(**raw["clock"])
        raw["splits"] = [Split(**split) for split in raw["splits"]]
        return Plan(**raw)


@dataclass
class Position:
    """Where the job is: what the next plan starts from.

    Attributes:
        past: watermarks of this epoch and those before it, newest first, as far as operators lag.
        drains: how many of the last epochs in a row were drains.
        totals: rows since the checkpoint began.
    """

    epoch: int
    watermark: int | None
    now: int
    seen: dict[str, Seen]
    sources: list[dict[str, Any]]
    state: dict[str, dict[str, Any]]
    past: list[int | None]
    drains: int
    totals: Totals = field(default_factory=Totals)

    @staticmethod
    def start(sources: int) -> "Position":
        """Before the first epoch."""
        return Position(0, None, 0, {}, [{} for _ in range(sources)], {}, [], 0)

    def advance(self, seal: Seal) -> None:
        """Apply the changes of a sealed epoch."""
        self.epoch, self.watermark, self.now = seal.epoch, seal.watermark, seal.now
        self.seen = {name: Seen(top, active or 0) for name, (top, active) in seal.partitions.items()}
        self.state, self.past, self.drains = seal.state, seal.past, seal.drains
        self.totals = Totals(**seal.totals)
        for known, change in zip(self.sources, seal.positions, strict=False):  # before there was a replay, one fewer
            known.update(change)

    def due(self, operator: str) -> int | None:
        """Smallest time (ms) at which a shard of the operator wants a step; None when nothing is open."""
        heads = self.state.get(operator, {}).values()
        return min((head["due"] for head in heads if head["due"] is not None), default=None)


@dataclass(frozen=True)
class Draft:
    """What a planner has decided; the driver turns it into a Plan.

    Attributes:
        drain: the largest event time seen if this closes everything, else None.
    """

    watermark: int | None
    now: int
    backlogs: Sequence[Backlog]
    seen: dict[str, Seen]
    drain: int | None = None

    @property
    def splits(self) -> list[Split]:
        """All ranges to read."""
        return [split for backlog in self.backlogs for split in backlog.splits]

    def clock(self, epoch: int) -> Clock:
        """The clock of the epoch's readers; operators have watermarks of their own."""
        watermark = UNKNOWN if self.watermark is None else self.watermark
        return Clock(epoch, watermark, self.now, END_OF_TIME if self.drain is None else self.drain)

    def watermark_of(self, operator: Operator, at: Position) -> int:
        """Watermark (ms) that the operator's steps see in the epoch after `at`."""
        lag = operator.lag or 0
        if self.drain is not None and at.drains >= lag:
            return END_OF_TIME
        history = [self.watermark, *at.past]
        found = history[lag] if lag < len(history) else None
        return UNKNOWN if found is None else max(UNKNOWN, found - operator.hold)

    def closes_until(self, operator: Operator) -> int:
        """Watermark (ms) that the operator will have seen once this epoch's watermark has reached it."""
        if self.drain is not None:
            return END_OF_TIME
        return UNKNOWN if self.watermark is None else self.watermark - operator.hold

    @property
    def reached(self) -> int | None:
        """Watermark that a seal remembers: after a drain the largest event time, so that a later run can continue."""
        return self.watermark if self.drain in {None, UNKNOWN} else self.drain


class Planner:
    """Decides on the next epoch from what the sources offer."""

    def __init__(
        self,
        sources: Sequence[Source],
        policy: WatermarkPolicy,
        operators: Sequence[Operator],
        *,
        drain: bool,
        endless: bool = False,
    ) -> None:
        """`drain`: close everything once the input has ended; `endless`: it never ends, time may start epochs."""
        self._every = min((op.every for op in operators if endless and op.every is not None), default=None)
        self._sources = sources
        self._operators = operators
        self._policy = policy
        self._drain = drain
        self.unreadable: dict[str, str] = {}  # files that were set aside when a source was last asked, and why
        self.waiting: dict[str, int] = {}  # bytes, by file, that were no complete row when a source was last asked

    def draft(self, at: Position, now: int, max_rows: int) -> Draft | None:
        """The next epoch; None when there is no new row and no window would close."""
        now = max(now, at.now)
        backlogs = self._backlogs(at, max_rows)
        self.unreadable, self.waiting = (
            {path: note for backlog in backlogs for path, note in backlog.notes.get(kind, {}).items()}
            for kind in (UNREADABLE, WAITING)
        )
        seen = dict(at.seen)
        ended: set[str] = set()
        for index, backlog in enumerate(backlogs):
            busy = {split.partition for split in backlog.splits}
            for partition in backlog.partitions:
                name = f"{index}/{partition}"
                known = seen.get(name, Seen(None, now))
                seen[name] = Seen(known.top, now) if partition in busy else known
                if partition in backlog.ended and partition not in busy:
                    ended.add(name)
        holding = {name: part for name, part in seen.items() if self._leads(name)}
        watermark = self._policy.next(at.watermark, holding, ended, now)
        has_rows = any(backlog.splits for backlog in backlogs)
        draft = Draft(watermark, now, backlogs, seen)
        if has_rows or self._closes(at, draft) or self._has_waited(at, now):
            return draft
        # Only now: what the last watermark closes has closed by itself, and says so.
        if self._drain and not any(backlog.left for backlog in backlogs):
            tops = [part.top for part in holding.values() if part.top is not None]
            draft = replace(draft, drain=max([*tops, UNKNOWN if watermark is None else watermark]))
        return draft if self._closes(at, draft) else None

    def _leads(self, partition: str) -> bool:
        """Whether the watermark follows a partition: one of events, or of any stream if there are no events."""
        source = int(partition.split("/", maxsplit=1)[0])
        led = EVENTS in {source.role for source in self._sources}
        return self._sources[source].role == EVENTS if led else self._sources[source].role != REPLAY

    def _backlogs(self, at: Position, max_rows: int) -> list[Backlog]:
        tops: dict[int, dict[int, int]] = {index: {} for index in range(len(self._sources))}
        for name, seen in at.seen.items():
            index, partition = map(int, name.split("/"))
            if seen.top is not None:
                tops[index][partition] = seen.top
        # Dead letters are few: they come on top, and take no share from those who have rows to fear for.
        weighed = [index for index, source in enumerate(self._sources) if source.role != REPLAY]
        furthest_behind = {index: min(tops[index].values(), default=None) for index in weighed}
        parts = shares(furthest_behind, max_rows) if max_rows else {}
        return [
            source.plan(at.sources[index], parts.get(index, max_rows), tops[index], whole=self._drain)
            for index, source in enumerate(self._sources)
        ]

    def _has_waited(self, at: Position, now: int) -> bool:
        return self._every is not None and at.epoch > 0 and now - at.now >= self._every

    def _closes(self, at: Position, draft: Draft) -> bool:
        for operator in self._operators:
            due = at.due(operator.name)
            if due is not None and due <= draft.closes_until(operator):
                return True
        return False
