"""Where reading of a partition stands, what was lost of it, and how an epoch is divided among partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ecompulse.epochs.watermark import shares

if TYPE_CHECKING:
    from ecompulse.io.kafka.cluster import Offsets


FAIL: Final = "fail"


CONTINUE: Final = "continue"


Part = tuple[str, int]
"""Topic and Kafka's number of a partition."""


@dataclass(frozen=True)
class Known:
    """What is remembered of a partition, in the checkpoint.

    Attributes:
        number: of the source partition, given once in the order in which partitions were first seen.
        at: offset of the next record to read.
        topic_id: of the topic that the offset belongs to; empty where the broker has no ids.
        again: how often the topic was made anew and read on: its offsets say nothing without that.
    """

    number: int
    at: int
    topic_id: str
    again: int = 0

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        found = {"number": self.number, "at": self.at, "topic_id": self.topic_id}
        return {**found, "again": self.again} if self.again else found


def name_of(part: Part) -> str:
    """`topic/partition`."""
    return f"{part[0]}/{part[1]}"


def describe_loss(part: Part, mark: Known, topic_id: str, offsets: "Offsets") -> str | None:
    """Which offsets can no longer be read, in words; None when none is lost."""
    name = name_of(part)
    if mark.topic_id and topic_id and mark.topic_id != topic_id:
        return _describe_anew(name, mark)
    if mark.at < offsets.first:
        return f"{name}: offsets {mark.at} to {offsets.first - 1} were deleted before they were read"
    if mark.at > offsets.stable:
        return f"{name}: the log was cut: it ends at offset {offsets.stable}, we had come to {mark.at}"
    return None


def vanished(positions: Mapping[str, Any], ids: Mapping[Part, str]) -> dict[str, tuple[str, Known]]:
    """Partitions that a topic which was made anew no longer has: what is lost, and where they begin if they come back.

    Args:
        positions: what is remembered, by name.
        ids: partitions that there are, with the ids of their topics.
    """
    now, there = {topic: topic_id for (topic, _), topic_id in ids.items()}, {name_of(part) for part in ids}
    found = {}
    for name in sorted(positions.keys() - there):
        mark, topic_id = Known(**positions[name]), now.get(name.rpartition("/")[0])
        if topic_id and mark.topic_id != topic_id:
            found[name] = _describe_anew(name, mark), Known(mark.number, 0, topic_id, mark.again + 1)
    return found


def _describe_anew(name: str, mark: Known) -> str:
    return f"{name}: the topic was made anew; what the old one held at and after offset {mark.at} is lost"


def allocate(waiting: Mapping[int, int], tops: Mapping[int, int], budget: int) -> dict[int, int]:
    """Divide an epoch's rows among partitions by `shares`; what one cannot use, others get."""
    taken = dict.fromkeys(waiting, 0)
    while budget > 0:
        hungry = {number: tops.get(number) for number, rows in waiting.items() if taken[number] < rows}
        if not hungry:
            break
        for number, part in shares(hungry, budget).items():
            rows = min(part, waiting[number] - taken[number], budget)
            taken[number] += rows
            budget -= rows
    return taken
