"""The reservoir of a shard, before and in a step: examples by the hour in which they became known."""

from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.examples import matrix
from ecompulse.kernels.fraud.line import Ints
from ecompulse.kernels.fraud.reservoir import HOUR, Pool, bounded
from ecompulse.kernels.fraud.stretch import Lines, Stretch
from ecompulse.kernels.step import Change, StateView, Table

_LONGEST: Final = 24 * 400  # hours that are looked back at the most
_TABLE: Final = "reservoir"


class Reserve:
    """What labels have told, so far as state and this step know; `Known` of a brain."""

    def __init__(self, table: Table, state: StateView, new: pl.DataFrame, pool: Pool, chosen: Ints, one: str) -> None:
        """`new`: examples of this step; `chosen`: features that tails look at; `one`: the key of all."""
        self._state = state
        self._schema = table.schema
        self._width: int = table.schema["vector"].shape[0]  # type: ignore[attr-defined]  # an Array
        self._chosen = chosen
        self._known: pl.DataFrame = pl.DataFrame(schema=table.schema)
        self.change: Change | None = None
        self._last = self._from = self._until = 0
        self._ahead: Lines | None = None
        self._times, self._labels = np.empty(0, np.int64), np.empty(0)
        if new.is_empty():
            return
        hour, ends = (pl.col("told") // HOUR).cast(pl.String), pl.col("told") + pool.keep
        new = new.with_columns(hour=hour, ends=ends, one=pl.lit(one))
        hours = new["hour"].unique().sort()
        old = state.lookup(_TABLE, hours)
        self._known = bounded(pl.concat([old, new.select(self._schema.names())]), pool)
        self.change = Change(hours, self._known)

    def expect(self, last: int) -> None:
        """Hours up to this one will be asked for, one after the other."""
        self._last = last

    def news(self, first: int, until: int) -> Stretch:
        """Examples that became known in these hours, in order, with their labels."""
        if self._ahead is None or not self._from <= first <= until <= self._until:
            self._from, self._until = first, max(until, self._last)
            rows = self.examples(first, self._until)
            self._ahead = Lines(matrix(rows, self._width), self._chosen)
            self._times, self._labels = rows["told"].to_numpy(), rows["label"].to_numpy().astype(float)
        low, high = (int(place) for place in np.searchsorted(self._times, [first * HOUR, until * HOUR]))
        return Stretch(self._ahead, low, high, self._labels[low:high])

    def examples(self, first: int, until: int) -> pl.DataFrame:
        """Rows of these hours, in order."""
        hours = pl.Series(range(max(first, until - _LONGEST), until), dtype=pl.Int64).cast(pl.String)
        mine = self._known.filter(pl.col("hour").is_in(hours.implode()))
        asked = hours.filter(~hours.is_in(self._known["hour"].unique().implode()))
        found = pl.concat([self._state.lookup(_TABLE, asked), mine])
        return found.sort("told", "transaction_id")
