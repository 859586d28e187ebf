"""What a client of Kafka is to a reader, whichever library it is built on."""

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

STALLED_AFTER: Final = 120.0
"""Seconds without any progress in a range after which the broker counts as gone."""

Values = list[bytes | None]
"""Of records in order; None for a tombstone."""


class Told(NamedTuple):
    """What Kafka says of a record besides its value; `timestamp` in ms."""

    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int


Chunk = tuple[Values, list[int], list[Told]]
"""Values, offsets, and if it is asked for what is told of each."""


class Client(Protocol):
    """A consumer of its own connections, read_committed; used by one thread at a time."""

    def read(self, topic: str, partition: int, start: int, end: int, *, told: bool = False) -> Iterator[Chunk]:
        """The records in [start, end), in chunks of any size; with `told` also their keys, headers and times.

        There are fewer records than offsets: markers of transactions, what was aborted and what was compacted away
        take offsets too. JobError when the range cannot be read whole.
        """
        ...

    def close(self) -> None:
        """End the connections."""
        ...
