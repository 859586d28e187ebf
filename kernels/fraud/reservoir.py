"""The sampling reservoir of labelled examples: bounded, newer ones more likely, independent of the order of arrival."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.config import Duration
from ecompulse.kernels.fraud.entity_timeline import Floats, Ints
from ecompulse.kernels.fraud.examples import matrix
from ecompulse.kernels.fraud.scoring_runs import FeatureRows, ScoringRun
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.rows import DAY_MS, millis, no_rows
from ecompulse.kernels.step import Change, StateView, Table

HOUR: Final = 3_600_000
_SPAN: Final = float(2**64)
_LONGEST: Final = 24 * 400  # hours that are looked back at the most
_TABLE: Final = "reservoir"


@dataclass(frozen=True)
class Pool:
    """How many examples are kept, and how many are used.

    Attributes:
        per_hour: legitimate ones that became known in one hour, those of the smallest hash; frauds too.
        keep: ms after which an example is dropped.
        legitimate: used in one fit; a newer one is likelier (weighted sampling by Efraimidis and Spirakis).
        frauds: used in one fit, the newest.
        fade: ms after which an example counts for 1/e.
    """

    per_hour: int = 2_000
    keep: Duration = 90 * DAY_MS
    legitimate: int = 60_000
    frauds: int = 10_000
    fade: Duration = 60 * DAY_MS

    def __post_init__(self) -> None:
        if min(self.per_hour, self.keep, self.legitimate, self.frauds, self.fade) < 1:
            raise ValueError("per_hour, keep, legitimate, frauds and fade must be above 0")


@dataclass(frozen=True)
class TrainingSet:
    """Examples to learn from, with labels and weights."""

    rows: pl.DataFrame
    labels: Floats
    weights: Floats


def luck(rows: pl.DataFrame) -> Floats:
    """A number between 0 and 1 for each transaction, by its id."""
    found: Floats = (fingerprint(rows["transaction_id"])["lo"].to_numpy() + 0.5) / _SPAN
    return found


def bounded(rows: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Rows (with `hour` and `label`) of which no hour has more than `per_hour` of a label."""
    if rows.height <= pool.per_hour:
        return rows
    ordered = rows.with_columns(_luck=pl.Series(luck(rows))).sort("_luck", "transaction_id", "told")
    return ordered.group_by("hour", "label", maintain_order=True).head(pool.per_hour).select(rows.columns)


def training_set(rows: pl.DataFrame, pool: Pool, now: int) -> TrainingSet:
    """The training set of trees at `now` (ms): the last label of each transaction."""
    rows = rows.filter(pl.col("told") < now).sort("told", "transaction_id").unique("transaction_id", keep="last")
    rows = rows.sort("told", "transaction_id")
    age = (now - rows.select(millis()).to_series().to_numpy()) / pool.fade
    weights, labels = np.exp(-age), rows["label"].to_numpy().astype(float)
    rank = np.log(luck(rows)) / weights
    legitimate, frauds = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    chosen = legitimate[np.argsort(-rank[legitimate], kind="stable")[: pool.legitimate]]
    used = np.sort(np.concatenate([chosen, frauds[-pool.frauds :]]))
    return TrainingSet(rows[used], labels[used], weights[used])


class ShardReservoir:
    """The labelled examples in state and in this step; `Known` of a learner."""

    def __init__(self, table: Table, state: StateView, new: pl.DataFrame, pool: Pool, chosen: Ints, one: str) -> None:
        """`new`: examples of this step; `chosen`: features that tails look at; `one`: the key of all."""
        self._state = state
        self._schema = table.schema
        self._width: int = table.schema["vector"].shape[0]  # type: ignore[attr-defined]  # an Array
        self._chosen = chosen
        self._known: pl.DataFrame = no_rows(table.schema)
        self.change: Change | None = None
        self._last = self._from = self._until = 0
        self._ahead: FeatureRows | None = None
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

    def news(self, first: int, until: int) -> ScoringRun:
        """Examples that became known in these hours, in order, with their labels."""
        if self._ahead is None or not self._from <= first <= until <= self._until:
            self._from, self._until = first, max(until, self._last)
            rows = self.examples(first, self._until)
            self._ahead = FeatureRows(matrix(rows, self._width), self._chosen)
            self._times, self._labels = rows["told"].to_numpy(), rows["label"].to_numpy().astype(float)
        low, high = (int(place) for place in np.searchsorted(self._times, [first * HOUR, until * HOUR]))
        return ScoringRun(self._ahead, low, high, self._labels[low:high])

    def examples(self, first: int, until: int) -> pl.DataFrame:
        """Rows of these hours, in order."""
        hours = pl.Series(range(max(first, until - _LONGEST), until), dtype=pl.Int64).cast(pl.String)
        mine = self._known.filter(pl.col("hour").is_in(hours.implode()))
        asked = hours.filter(~hours.is_in(self._known["hour"].unique().implode()))
        found = pl.concat([self._state.lookup(_TABLE, asked), mine])
        return found.sort("told", "transaction_id")
