"""What waits in files, as a number of rows: an estimate, by the bytes of a row in what was read last."""

from dataclasses import dataclass
from math import ceil
from typing import Final

ROW_BYTES: Final = 500.0
"""Mean size of an event in JSON, which counts until rows have been read."""


@dataclass
class Remaining:
    """Bytes of files that a plan leaves, and what a row takes up in those that it reads.

    Bytes are those of the file as it is stored, so that a compressed file counts as little as it is.

    Attributes:
        before: mean size of a row (bytes) in the last plan that read any.
    """

    before: float
    _left: float = 0.0
    _read: float = 0.0
    _rows: int = 0

    def leave(self, size: float) -> None:
        """A file of which so many bytes are not read; at least one, where that is not known well."""
        self._left += max(size, 1.0)

    def read(self, size: float, rows: int) -> None:
        """Bytes that are read, and how many rows they are."""
        self._read, self._rows = self._read + size, self._rows + rows

    @property
    def row_bytes(self) -> float:
        """Mean size of a row in this plan, else before it."""
        return self._read / self._rows if self._rows and self._read > 0 else self.before

    @property
    def rows(self) -> int:
        """Rows that are left; at least one if a byte is."""
        return ceil(self._left / self.row_bytes)
