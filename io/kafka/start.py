"""`--start`: where a job begins that has not read a topic before."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

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
