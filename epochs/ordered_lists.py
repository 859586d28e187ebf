"""Ordered lists: the rows of a shard that wait for the watermark, in immutable files.

A step that adds rows adds one chunk. A row is live until a step has seen the watermark reach its `due`: nothing is
written to take it away. A chunk without live rows is left out of the state. Chunks are merged when the older has less
than twice the live rows of the newer, so that there are few of them, however long rows wait.
"""

from collections.abc import Sequence

import polars as pl

from ecompulse.epochs.runs import GROWTH, dump_frame, load_frame
from ecompulse.kernels.rows import DUE


class Chunk:
    """Rows that a step added, or several steps; immutable.

    Attributes:
        frame: the list's columns.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        """`frame` has `DUE` (ms, without nulls)."""
        self.frame = frame

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return int(self.frame.estimated_size())

    @property
    def due(self) -> pl.Series:
        """When each row is due (ms)."""
        return self.frame[DUE]

    def waiting(self, watermark: int) -> int:
        """How many rows are due after a watermark (ms)."""
        return int((self.due > watermark).sum())

    def after(self, watermark: int) -> "Chunk":
        """The rows that are due after a watermark (ms)."""
        return self._where(self.due > watermark)

    def between(self, after: int, until: int) -> pl.DataFrame:
        """The rows that are due after one watermark, and at another or before it (ms)."""
        return self._where((self.due > after) & (self.due <= until)).frame

    def _where(self, wanted: pl.Series) -> "Chunk":
        """The same chunk if that is all of it, for a copy of wide rows is dear."""
        return self if wanted.all() else Chunk(self.frame.filter(wanted))

    def dump(self) -> bytes:
        """As a state file."""
        return dump_frame(self.frame)

    @staticmethod
    def load(data: bytes) -> "Chunk":
        """The inverse of `dump`."""
        return Chunk(load_frame(data))


def merged(chunks: Sequence[Chunk], added: pl.DataFrame, watermark: int) -> tuple[list[int], Chunk]:
    """A list after a step at `watermark` that added rows.

    Args:
        chunks: before the step, oldest first.
        added: rows, perhaps none.
        watermark: ms, of the step.

    Returns:
        Places of the chunks that stay as they are, and a chunk of all other live rows, perhaps of none.
    """
    fresh = Chunk(added).after(watermark)
    waiting = [chunk.waiting(watermark) for chunk in chunks]
    stay = [place for place, rows in enumerate(waiting) if rows]
    while fresh.frame.height and stay and waiting[stay[-1]] < GROWTH * fresh.frame.height:
        older = chunks[stay.pop()].after(watermark)
        fresh = Chunk(pl.concat([older.frame, fresh.frame], rechunk=True))
    return stay, fresh
