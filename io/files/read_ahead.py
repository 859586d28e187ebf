"""What a plan has read through a decoder, for a reader in the same process: else it would be decompressed twice.

Plain files are read twice: that costs a fiftieth of a job, and what is kept would be a tenth of its memory.
"""

import threading
from collections.abc import Hashable
from typing import Final, NamedTuple

from ecompulse.io.files.quoting import Positions

MOST_BYTES: Final = 128 * 1024 * 1024
"""Of what is kept at a time: some epochs of text are larger, and the rest of them is read again."""


class Records(NamedTuple):
    """Bytes of a file that begin with a record.

    Attributes:
        data: as they are once decoded, at least up to the last end.
        ends: offsets just after each record.
    """

    data: bytes
    ends: Positions

    @property
    def size(self) -> int:
        """Bytes of the records."""
        return int(self.ends[-1])


class ReadAhead:
    """Records by file and start, each for one reader. A reader that finds none reads the file."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Nothing is kept yet."""
        self._most = most_bytes
        self._kept: dict[tuple[Hashable, int], tuple[str, Records]] = {}
        self._lock = threading.Lock()

    def forget(self, owner: str) -> None:
        """Drop what a source has planned before."""
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if kept[0] != owner}

    def keep(self, owner: str, file: Hashable, start: int, records: Records) -> None:
        """Records that a source plans to read, unless there is no room for them; an earlier plan of them is void."""
        with self._lock:
            self._kept.pop((file, start), None)
            if sum(len(kept.data) for _, kept in self._kept.values()) + len(records.data) <= self._most:
                self._kept[file, start] = owner, records

    def take(self, file: Hashable, start: int, size: int) -> Records | None:
        """The records of a range; None where they are not kept, or others are."""
        with self._lock:
            _, records = self._kept.pop((file, start), ("", None))
        return records if records and records.size == size else None


READ_AHEAD: Final = ReadAhead()
"""That of this process."""
