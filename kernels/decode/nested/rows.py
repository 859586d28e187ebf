"""Rows of any format, before anything is taken of them: columns of JSON text, and each row exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from ecompulse.kernels.decode.batch import all_of


@dataclass(frozen=True)
class Rows:
    """A batch as read.

    Attributes:
        positions: source, partition, offset.
        columns: JSON text by key; null where absent or null.
        suspects: rows of which the columns may not be believed.
        values: one row, parsed; raises BrokenRule.
        raw: the rows as they were read, of these row numbers (Binary).
        content: all rows as text, for the hash.
    """

    positions: pl.DataFrame
    columns: dict[str, pl.Series]
    suspects: pl.Series
    values: Callable[[int], dict[str, Any]]
    raw: Callable[[pl.Series], pl.Series]
    content: Callable[[], pl.Series]

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.positions.height

    def believed(self) -> pl.Series:
        """Rows that are no suspects."""
        return ~self.suspects if self.height else all_of(value=True, height=0)
