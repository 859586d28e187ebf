"""The contract of a kernel: `step(state, batch, clock) -> Step`, on columns.

A kernel is a pure function of what it is given. It sees the state of one shard through a `StateView`,
asks only for the keys that it touches, and returns what has changed; it never mutates. It does not know
who stores state and where, what an epoch is, or which runner is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import polars as pl

from ecompulse.kernels.rows import DUE

END_OF_TIME: Final = 2**62
"""Watermark (ms) of the last step of a drained input: closes every window and session."""


@dataclass(frozen=True)
class Clock:
    """Time as a step sees it.

    Attributes:
        epoch: number of the epoch, from 1.
        watermark: event time (UTC ms) before which no more rows are expected; rows of windows that
            closed at or before it are late. Never goes back. `END_OF_TIME` when draining; a negative
            value while nothing is known yet.
        now: processing time (UTC ms); never goes back.
        latest: the largest event time of the input (UTC ms) when draining, where that is known: work that is due
            later can wait for a later run.
    """

    epoch: int
    watermark: int
    now: int
    latest: int = END_OF_TIME


@dataclass(frozen=True)
class Table:
    """A multimap of a shard's state: rows by key.

    Attributes:
        name: unique in the operator.
        schema: columns of a row, the key column included.
        key: name of the key column (String). Rows are found by its 128-bit stable hash.
        shard_by: name of the column that holds the kernel's own key, where that is not `key`; resharding of the
            state needs it.
        due: name of an Int64 column (ms, null for never): a step happens, even without input, once the
            watermark has reached the smallest value.
        expires: name of an Int64 column (ms): a row whose value is at or before the watermark of the epoch
            before no longer exists for a step, and is dropped from storage when its run is next merged. Where epochs
            are cut is arbitrary: a kernel whose results must not depend on it filters by its own clock.
        keep_key: False when the key's text is not needed: only its hash is stored, and `due` gives rows without it.
    """

    name: str
    schema: pl.Schema
    key: str
    due: str | None = None
    expires: str | None = None
    keep_key: bool = True
    shard_by: str | None = None


@dataclass(frozen=True)
class OrderedList:
    """Rows of a shard that wait for the watermark, as in Beam's OrderedListState.

    A step reads with `StateView.due` what the watermark has reached, and names the rows that wait from now on (`Wait`).
    Rows that a step's watermark has reached are gone after it. They are not found by key. So a row is written once and
    read once, and nothing is hashed, sorted or marked as deleted.

    Attributes:
        name: unique in the operator.
        columns: of a row. Its `schema` has `DUE` besides (ms, never null): a step happens, even without input, once the
            watermark has reached the smallest value.
        shard_by: name of the column that holds the kernel's own key; resharding of the state needs it.
    """

    name: str
    columns: pl.Schema
    shard_by: str

    @property
    def schema(self) -> pl.Schema:
        """Columns as stored."""
        return pl.Schema({**self.columns, DUE: pl.Int64()})


class StateView(Protocol):
    """Read access to the shard's state as it was before the step."""

    def lookup(self, table: str, keys: pl.Series) -> pl.DataFrame:
        """All rows of these keys (the table's schema; key order and row order unspecified).

        `keys` may hold repeats and nulls (which match nothing). The cost depends on `keys`, not on the state.
        """
        ...

    def due(self, table: str, until: int) -> pl.DataFrame:
        """All rows of each key that has a row with `due <= until` (ms); of an ordered list, the rows due by then."""
        ...


@dataclass(frozen=True)
class Change:
    """New content of some keys: all rows of `keys` are replaced by `rows`.

    `keys` without rows are deleted. Every key in `rows` must be in `keys`.
    """

    keys: pl.Series
    rows: pl.DataFrame


@dataclass(frozen=True)
class Wait:
    """Rows that join an ordered list. Their `due` is after the step's watermark."""

    rows: pl.DataFrame


@dataclass(frozen=True)
class Step:
    """The result of one step.

    Attributes:
        outputs: frames by output name.
        changes: by table name.
        balance: for a kernel that emits each row once or keeps it: where the rows that came in went. Keys are names of
            outputs, or other words for rows that are in no output (`held`: rows that wait in the state, minus those
            that waited before; `duplicates`). It adds up to the rows that came in; empty where there is no such sum.
    """

    outputs: Mapping[str, pl.DataFrame]
    changes: Mapping[str, Change | Wait] = field(default_factory=dict)
    balance: Mapping[str, int] = field(default_factory=dict)


class Kernel(Protocol):
    """A keyed computation. Implementations are frozen dataclasses of plain settings: they pickle small.

    Attributes:
        name: of the operator; part of state paths.
        version: of the state's layout; a checkpoint with another one is refused.
        inputs: columns that a step needs; only these are shuffled.
        tables: the state it keeps per shard.
        outputs: schema of each output; every step returns every output, empty if need be.

    A kernel that emits rows later than in the step that brings them declares this in a further attribute, `holds`: for
    how long (ms of event time) it holds rows after the watermark has reached them. Without it, or with None, it holds
    no rows. Rows with `came_late` have waited for the watermark all the same, and say it themselves: only kernels that
    read this column can be fed with them.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def inputs(self) -> pl.Schema: ...
    @property
    def tables(self) -> Sequence[Table | OrderedList]: ...
    @property
    def outputs(self) -> Mapping[str, pl.Schema]: ...

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The key of each row (String, never null); rows of one key meet in one shard."""
        ...

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Advance one shard: `batch` is all its rows of this epoch, in any order, perhaps none."""
        ...
