"""What is remembered of an entity, one row each: lists of whole numbers, packed and unpacked without a loop."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.entity_timeline import Ints

KEY: Final = "entity"
TIMES: Final = ("first", "last", "fraud", "label", "placed")
PLACES: Final = ("latitude", "longitude")
MEMORY_SCHEMA: Final = pl.Schema(
    {
        KEY: pl.String(),
        "line": pl.List(pl.Int64()),
        "others": pl.List(pl.Int64()),
        **dict.fromkeys(TIMES, pl.Int64()),
        **dict.fromkeys(PLACES, pl.Float64()),
        "running": pl.Int64(),
        "expires": pl.Int64(),
    }
)
"""An entity: buckets of its past (`past.WIDTH` numbers each), others it was seen with (`pairs.WIDTH` numbers each),
when (ms, -1 for never) it was first and last seen, last known to be defrauded, last told a label of, last seen at a
place, and where; frauds in a row among its latest labels."""

NEVER: Final = -1


@dataclass(frozen=True)
class Block:
    """Rows of whole numbers that belong to entities.

    Attributes:
        codes: entity of each row, ascending.
        rows: the rows, one dimension per column.
    """

    codes: Ints
    rows: Ints

    @staticmethod
    def unpacked(known: pl.DataFrame, name: str, width: int) -> "Block":
        """The lists of a column; `known` is sorted by `code`."""
        lengths = known[name].list.len().fill_null(0).to_numpy().astype(np.int64) // width
        filled = known.filter(pl.col(name).list.len() > 0)[name]
        flat = filled.explode(empty_as_null=False).to_numpy() if len(filled) else np.empty(0, np.int64)
        return Block(np.repeat(known["code"].to_numpy().astype(np.int64), lengths), flat.reshape(-1, width))

    def packed(self, size: int) -> pl.Series:
        """One list per entity, 0 to `size` - 1."""
        counts = np.bincount(self.codes, minlength=size)
        found = pl.DataFrame({"flat": self.rows.reshape(-1)})["flat"]
        starts = np.concatenate([[0], np.cumsum(counts)]) * self.rows.shape[1]
        return lists(found, starts)


def lists(flat: pl.Series, starts: Ints) -> pl.Series:
    """A column of lists from its items and where each begins (one more than there are lists)."""
    import pyarrow as pa  # noqa: PLC0415

    # Not pa.array, which imports pandas to look at an array of numpy.
    offsets, items = (
        pa.Array.from_buffers(pa.int64(), len(part), [None, pa.py_buffer(np.ascontiguousarray(part, np.int64))])
        for part in (starts, flat.to_numpy())
    )
    found = pl.from_arrow(pa.LargeListArray.from_arrays(offsets, items))
    if not isinstance(found, pl.Series):
        raise TypeError("a column was expected")
    return found
