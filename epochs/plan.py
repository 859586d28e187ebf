"""Plans: which ranges an epoch reads, under which clock, on top of which state."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ecompulse.epochs.checkpoint import Seal
from ecompulse.epochs.protocols import EVENTS, Backlog, Source, Split
from ecompulse.epochs.watermark import Seen, WatermarkPolicy, shares
from ecompulse.kernels.step import END_OF_TIME, Clock

CURRENT: Final = "current.json"
UNKNOWN: Final = -1
"""Watermark (ms) of a clock while nothing is known: no row is late, no window closes."""


@dataclass(frozen=True)
class Plan:
    """One run of an epoch, as workers read it from `runs/<epoch>-<attempt>/plan.json`.

    Attributes:
        roles: of the source of each split.
        state: per operator and shard, the head of the state before the epoch; null for an empty one.
    """

    epoch: int
    attempt: str
    clock: Clock
    splits: Sequence[Split]
    roles: Sequence[str]
    state: Mapping[str, Mapping[str, Any]]

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
    """Where the job is: what the next plan starts from."""

    epoch: int
    watermark: int | None
    now: int
    seen: dict[str, Seen]
    sources: list[dict[str, Any]]
    state: dict[str, dict[str, Any]]

    @staticmethod
    def start(sources: int) -> "Position":
        """Before the first epoch."""
        return Position(0, None, 0, {}, [{} for _ in range(sources)], {})

    def advance(self, seal: Seal) -> None:
        """Take over what a sealed epoch has changed."""
        self.epoch, self.watermark, self.now = seal.epoch, seal.watermark, seal.now
        self.seen = {name: Seen(top, active or 0) for name, (top, active) in seal.partitions.items()}
        self.state = seal.state
        for known, change in zip(self.sources, seal.positions, strict=True):
            known.update(change)

    def next_due(self) -> int | None:
        """Smallest time (ms) at which a shard of any operator wants a step; None when nothing is open."""
        heads = (head for shards in self.state.values() for head in shards.values())
        return min((head["due"] for head in heads if head["due"] is not None), default=None)


@dataclass(frozen=True)
class Draft:
    """What a planner has decided; the driver turns it into a Plan."""

    watermark: int | None
    now: int
    drain: bool
    backlogs: Sequence[Backlog]
    seen: dict[str, Seen]

    @property
    def splits(self) -> list[Split]:
        """All ranges to read."""
        return [split for backlog in self.backlogs for split in backlog.splits]

    @property
    def clock_watermark(self) -> int:
        """Watermark that the steps see."""
        if self.drain:
            return END_OF_TIME
        return UNKNOWN if self.watermark is None else self.watermark


class Planner:
    """Decides on the next epoch from what the sources offer."""

    def __init__(self, sources: Sequence[Source], policy: WatermarkPolicy, *, drain: bool) -> None:
        """`drain`: close everything once the input has ended."""
        self._sources = sources
        self._policy = policy
        self._drain = drain

    def draft(self, at: Position, now: int, max_rows: int) -> Draft | None:
        """The next epoch; None when there is no new row and no window would close."""
        now = max(now, at.now)
        backlogs = self._backlogs(at, max_rows)
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
        holding = {name: part for name, part in seen.items() if self._sources[int(name.split("/")[0])].role == EVENTS}
        watermark = self._policy.next(at.watermark, holding, ended, now)
        has_rows = any(backlog.splits for backlog in backlogs)
        drain = self._drain and not has_rows and not any(backlog.left for backlog in backlogs)
        if not has_rows and not self._something_closes(at, watermark, drain=drain):
            return None
        return Draft(watermark, now, drain, backlogs, seen)

    def _backlogs(self, at: Position, max_rows: int) -> list[Backlog]:
        tops: dict[int, dict[int, int]] = {index: {} for index in range(len(self._sources))}
        for name, seen in at.seen.items():
            index, partition = map(int, name.split("/"))
            if seen.top is not None:
                tops[index][partition] = seen.top
        furthest_behind = {index: min(tops[index].values(), default=None) for index in tops}
        parts = shares(furthest_behind, max_rows) if max_rows else dict.fromkeys(tops, 0)
        return [
            source.plan(at.sources[index], parts[index], tops[index], whole=self._drain)
            for index, source in enumerate(self._sources)
        ]

    def _something_closes(self, at: Position, watermark: int | None, *, drain: bool) -> bool:
        due = at.next_due()
        if due is None:
            return False
        if drain:
            return True
        return watermark is not None and watermark != at.watermark and due <= watermark


def stored_watermark(draft: Draft, partitions: Mapping[str, list[int | None]]) -> int | None:
    """What a seal remembers: after a drain the largest event time seen, so that tomorrow's run goes on."""
    if not draft.drain:
        return draft.watermark
    tops = [top for top, _ in partitions.values() if top is not None]
    return max([*tops, *([] if draft.watermark is None else [draft.watermark])], default=None)
