"""`--start`: where a job begins that has not read a topic before."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ecompulse.epochs.errors import UserError
from ecompulse.kernels.config import nearest

if TYPE_CHECKING:
    from ecompulse.io.kafka.cluster import Offsets

EARLIEST: Final = "earliest"
LATEST: Final = "latest"
_OFFSET: Final = re.compile(r"([\w.-]+)[/:](\d+)=(\d+)")


@dataclass(frozen=True)
class Start:
    """A starting place.

    Attributes:
        at: `earliest` or `latest`, or a time (UTC ms): the first record whose timestamp is not before it.
        offsets: (topic, partition) to offset, for those that were given one; the others start at `at`.
    """

    at: str | int = EARLIEST
    offsets: Mapping[tuple[str, int], int] = field(default_factory=dict)


def refuse_topics(start: Start, known: Collection[str]) -> None:
    """UserError when a place is of a topic that no source reads."""
    for topic, _ in start.offsets:
        if topic not in known:
            raise UserError(f"--start: {topic} is no topic of --source{nearest(topic, known)}")


def refuse_places(start: Start, first: Sequence[tuple[str, int]], offsets: Mapping[tuple[str, int], "Offsets"]) -> None:
    """UserError when a place is not there: no such partition, or it ends before.

    Args:
        start: as given.
        first: partitions of topics that are begun now; of others it says nothing.
        offsets: of all partitions that there are.
    """
    begun = {topic for topic, _ in first}
    for (topic, partition), at in start.offsets.items():
        there = offsets.get((topic, partition))
        if topic in begun and there is None:
            raise UserError(f"--start: {topic} has no partition {partition}")
        if (topic, partition) in first and there is not None and at > there.stable:
            raise UserError(f"--start: {topic}/{partition} ends at offset {there.stable}, before {at}")


def parse_start(text: str) -> Start:
    """`earliest`, `latest`, a time (ISO 8601 with zone, or epoch ms) or `topic/partition=offset,...`.

    ValueError for anything else.
    """
    if text in (EARLIEST, LATEST):
        return Start(text)
    if text.isdigit():
        return Start(int(text))
    parts = [_OFFSET.fullmatch(part.strip()) for part in text.split(",")]
    if all(parts):
        return Start(EARLIEST, {(part[1], int(part[2])): int(part[3]) for part in parts if part})
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise ValueError(f"{text!r}: wants earliest, latest, a time with its zone, or TOPIC/PARTITION=OFFSET,...")
    return Start(int(when.timestamp() * 1000))
