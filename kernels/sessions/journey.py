"""The journeys of visitors in one step, and the protocol of the parts that read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from ecompulse.kernels.step import Clock, StateView, Step, Table


@dataclass(frozen=True)
class Journey:
    """Settled rows of one step, in order and in sessions.

    Attributes:
        rows: carried columns, each visitor's together and by `_at`; with `_at` (ms; event_time, but never before a row
            of the visitor that was settled earlier), `_session` (Int64, 0 up), `_head` (first row of its
            visitor), `_new` (begins a session).
        sessions: one row per `_session`, in order: `visitor`, `id`.
        known: open sessions of the touched visitors before the step (OPEN_SCHEMA).
        still_open: `visitor` and `id` of their sessions that are open after it.
        touched: visitors with rows, or with a session that closed.
        gap: ms, session gap.
    """

    rows: pl.DataFrame
    sessions: pl.DataFrame
    known: pl.DataFrame
    still_open: pl.DataFrame
    touched: pl.Series
    gap: int


class Part(Protocol):
    """A further computation on journeys, besides sessions: keeps state by visitor, reads rows in order.

    Attributes:
        columns: carried columns that it needs besides BASE_SCHEMA.
        tables: its state, with unique names.
        outputs: schema of each output.
    """

    @property
    def columns(self) -> pl.Schema:
        """See above."""
        ...

    @property
    def tables(self) -> Sequence[Table]:
        """See above."""
        ...

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """See above."""
        ...

    def follow(self, state: StateView, journey: Journey, clock: Clock) -> Step:
        """Advance by the rows of one step, perhaps none."""
        ...
