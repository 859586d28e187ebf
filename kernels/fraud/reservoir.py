"""Labelled examples that are kept: bounded, newer ones likelier, the same whatever the order in which they come."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.config import Duration
from ecompulse.kernels.fraud.line import Floats
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.rows import DAY_MS, millis

HOUR: Final = 3_600_000
_SPAN: Final = float(2**64)


@dataclass(frozen=True)
class Pool:
    """How many examples are kept, and used.

    Attributes:
        per_hour: legitimate ones that became known in one hour, those of the smallest hash; frauds too.
        keep: ms after which one is gone.
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
    """What trees grow of at `now` (ms): of each transaction the last label."""
    rows = rows.filter(pl.col("told") < now).sort("told", "transaction_id").unique("transaction_id", keep="last")
    rows = rows.sort("told", "transaction_id")
    age = (now - rows.select(millis()).to_series().to_numpy()) / pool.fade
    weights, labels = np.exp(-age), rows["label"].to_numpy().astype(float)
    rank = np.log(luck(rows)) / weights
    legitimate, frauds = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    chosen = legitimate[np.argsort(-rank[legitimate], kind="stable")[: pool.legitimate]]
    used = np.sort(np.concatenate([chosen, frauds[-pool.frauds :]]))
    return TrainingSet(rows[used], labels[used], weights[used])
