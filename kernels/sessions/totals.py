"""`page_transitions`: what shards and steps have counted, added up per window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.rows import check_duration
from ecompulse.kernels.sessions.schemas import TRANSITION_PART_SCHEMA, TRANSITION_SCHEMA
from ecompulse.kernels.step import Clock, StateView, Step, Table
from ecompulse.kernels.window_totals import COUNTS, add_up, counts_table, key_of


@dataclass(frozen=True)
class TotalTransitions:
    """`page_transitions` of the `transition_parts` of `Sessionize`.

    A window is over once its end + `lag` has been passed by the watermark. `lag` is the session gap: a row
    that came behind the watermark and was still taken is less than a gap behind it.

    Keying: window and both pages. State: one row per pair of pages and open window.

    Attributes:
        window: ms, as that of `Sessionize`.
        lag: ms.
        name: of the operator.
    """

    window: int = 3_600_000
    lag: int = 30 * 60_000
    name: str = "page_transitions"
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        check_duration(self.name, "lag", self.lag)

    @property
    def inputs(self) -> pl.Schema:
        """Partial counts."""
        return TRANSITION_PART_SCHEMA

    @property
    def tables(self) -> Sequence[Table]:
        """`counts`."""
        return (counts_table(self.inputs),)

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """One row per window and pair of pages."""
        return {"page_transitions": TRANSITION_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """Window, from, to."""
        return key_of(batch, ("window_start", "from_page", "to_page"))

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Add up, and show the windows that are over."""
        parts = batch.select(self.inputs.names())
        done, change = add_up(state, parts, self.key(parts), ("count",), clock, self.window + self.lag)
        shown = done.with_columns(
            id=row_id(pl.col("window_start").cast(pl.Int64), "from_page", "to_page"),
            window_end=pl.col("window_start") + pl.duration(milliseconds=self.window),
        )
        columns = TRANSITION_SCHEMA.names()
        return Step({"page_transitions": shown.select(columns).sort(columns[1:-1])}, {COUNTS: change})
