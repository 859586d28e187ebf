"""What a client of Kafka is to a reader, whichever library it is built on."""

from collections.abc import Iterator
from typing import Final, Protocol

STALLED_AFTER: Final = 120.0
"""Seconds without any progress in a range after which the broker counts as gone."""

Values = list[bytes | None]
"""Of records in order; None for a tombstone."""


class Client(Protocol):
    """A consumer of its own connections, read_committed; used by one thread at a time."""

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[tuple[Values, list[int]]]:
        """Values and offsets of the records in [start, end), in chunks of any size.

        There are fewer records than offsets: markers of transactions, what was aborted and what was compacted away
        take offsets too. JobError when the range cannot be read whole.
        """
        ...

    def close(self) -> None:
        """End the connections."""
        ...
