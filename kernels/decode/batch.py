"""A batch on its way to events: columns of cells, whatever format they came in."""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.row_decoder import Record


@dataclass(frozen=True)
class Batch:
    """Rows as columns of cells.

    Attributes:
        positions: source, source_partition, source_offset.
        cells: by event field; a field that no row has may be left out.
        unknown: of each other key, the JSON text of its values; null where absent or null.
        properties: the JSON text of `properties` (null where absent), or None.
        merged: what `unknown` and `properties` would be as one object (canonical JSON, null where there is
            nothing), if that is known already; then neither is there.
        suspects: rows of which the columns above may not be believed; for them only `record` counts.
        record: one row, exactly; raises BrokenRule.
        raw: the rows as they were read, of these row numbers (Binary).
        content: all rows as text, for the hash; None if nobody asked for it.
        known: values of fields that are typed already, as `record` would give them if they are in range.
    """

    positions: pl.DataFrame
    cells: dict[str, Cells]
    unknown: dict[str, pl.Series]
    properties: pl.Series | None
    suspects: pl.Series
    record: Callable[[int], Record]
    raw: Callable[[pl.Series], pl.Series]
    content: pl.Series | None
    known: dict[str, pl.Series] = field(default_factory=dict)
    merged: pl.Series | None = None

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.positions.height


def nothing(height: int) -> pl.Series:
    """A String column of nulls."""
    return pl.repeat(None, height, dtype=pl.String, eager=True)


def all_of(value: bool, height: int) -> pl.Series:
    """A Boolean column of one value."""
    return pl.repeat(value, height, dtype=pl.Boolean, eager=True)
