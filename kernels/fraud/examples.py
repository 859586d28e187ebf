"""`HoldExamples`: features of a transaction wait for its label; then the models learn from both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.rows import DAY_MS, ORDER_SCHEMA, conform, millis
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

SHOWN: Final = pl.Schema(
    {
        "transaction_id": pl.String(),
        "order_id": pl.String(),
        **ORDER_SCHEMA,
        "visitor": pl.String(),
        "card_id": pl.String(),
        "merchant_id": pl.String(),
        "minor": pl.Int64(),
    }
)
"""Columns of a transaction that its score is shown with."""

_THOUSAND: Final = 1_000


def packed_schema(width: int) -> pl.Schema:
    """A transaction or an example: `vector` has the features in the model's order (NaN where unknown).

    Of an example `event_time` is the transaction's, `label` is 0 or 1 and `told` (ms) when that counts; null else.
    """
    vector = pl.Array(pl.Float32(), width)
    return pl.Schema({**SHOWN, "vector": vector, "label": pl.Int64(), "told": pl.Int64()})


def pack(rows: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Transactions with their features (`names`) as `packed_schema`."""
    vector = pl.Series(
        "vector", rows.select(names).fill_null(float("nan")).to_numpy(), pl.Array(pl.Float32, len(names))
    )
    blank = [pl.lit(None, pl.Int64).alias(name) for name in ("label", "told")]
    return rows.with_columns(vector, *blank).select(packed_schema(len(names)).names())


def marked(marks: pl.DataFrame, width: int) -> pl.DataFrame:
    """Marks of JoinLabels as rows that ask for their transaction's features."""
    return conform(marks.with_columns(told=millis()), packed_schema(width))


@dataclass(frozen=True)
class HoldExamples:
    """Keeps features until the label is known, and emits them with it.

    It emits all frauds, and a share of the legitimate transactions, chosen by the hash of their id: the same in every
    run. A changed label gives another example of the same transaction, with a later time.

    Keying: transaction id. State: `held`, id and features (4 bytes each), for `horizon`.

    Attributes:
        width: number of features.
        horizon: ms; twice the horizon of the labels plus their wait.
        legitimate: share of legitimate examples that is emitted, in thousandths.

    Output: `examples` (`packed_schema`).
    """

    width: int
    horizon: int = 61 * DAY_MS
    legitimate: int = 1_000
    name: str = "examples"
    version: int = field(default=2, init=False)

    @property
    def _held(self) -> Table:
        schema = packed_schema(self.width)
        kept = {name: schema[name] for name in ("transaction_id", "event_time", "card_id", "visitor", "vector")}
        return Table("held", pl.Schema({**kept, "ends": pl.Int64()}), "transaction_id", expires="ends")

    @property
    def tables(self) -> Sequence[Table]:
        """`held` by transaction."""
        return (self._held,)

    @property
    def inputs(self) -> pl.Schema:
        """Transactions and marks."""
        return packed_schema(self.width)

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Examples."""
        return {"examples": packed_schema(self.width)}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The transaction."""
        return batch["transaction_id"]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Keep new features, emit those with known labels."""
        del clock
        told = batch.filter(pl.col("label").is_not_null())
        new = batch.filter(pl.col("label").is_null()).with_columns(ends=millis() + self.horizon)
        new = new.select(self._held.schema.names())
        chosen = fingerprint(told["transaction_id"])["hi"] % _THOUSAND < self.legitimate
        told = told.filter(chosen | (pl.col("label") == 1))
        held = pl.concat([state.lookup("held", told["transaction_id"]), new])
        found = told.select("transaction_id", "label", "told").join(held, on="transaction_id")
        examples = conform(found, packed_schema(self.width)).sort("told", "transaction_id")
        return Step({"examples": examples}, {"held": Change(new["transaction_id"], new)})


def matrix(rows: pl.DataFrame, width: int) -> np.ndarray:
    """The vectors of rows, one line each (Float32)."""
    return rows["vector"].to_numpy().reshape(-1, width) if rows.height else np.empty((0, width), np.float32)
