"""Partial counts of steps and shards become one count per window: added up until the window is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.rows import check_duration
from ecompulse.kernels.sessions.schemas import TRANSITION_PART_SCHEMA, TRANSITION_SCHEMA
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

COUNTS: Final = "counts"
_SEPARATOR: Final = "\x1f"


def counts_table(parts: pl.Schema) -> Table:
    """State of `add_up`: parts by key, until their window is over."""
    return Table(
        name=COUNTS, schema=pl.Schema({"key": pl.String(), **parts, "closes": pl.Int64()}), key="key", due="closes"
    )


def key_of(parts: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Text of some columns, unique for their values."""
    texts = [pl.col(name).cast(pl.Int64) if parts.schema[name] == TIME else pl.col(name) for name in columns]
    return parts.select(key=pl.concat_str(texts, separator=_SEPARATOR, ignore_nulls=False)).to_series()


def add_up(
    state: StateView, parts: pl.DataFrame, key: pl.Series, sums: Sequence[str], clock: Clock, open_for: int
) -> tuple[pl.DataFrame, Change]:
    """Add parts to what is known of their keys; give out the keys whose window is over.

    A window is over once `window_start` + `open_for` <= watermark. Its counts are final, and its state is
    dropped, in that step: a kernel upstream, stepped with the same watermark, has given all its parts by then.

    Returns:
        Rows of the windows that are over (the parts' columns), and the change.
    """
    groups = [name for name in parts.columns if name not in sums]
    closes = pl.col("window_start").dt.epoch("ms") + open_for
    fresh = parts.with_columns(key=key, closes=closes)
    over = state.due(COUNTS, clock.watermark)["key"]
    keys = pl.concat([fresh["key"], over]).unique()
    held = state.lookup(COUNTS, keys)
    rows = pl.concat([held, fresh.select(held.columns)])
    rows = rows.group_by("key", *groups, "closes").agg(pl.col(name).sum() for name in sums).select(held.columns)
    closed = pl.col("closes") <= clock.watermark
    return rows.filter(closed).select(parts.columns), Change(keys, rows.filter(~closed))


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
        return Step({"page_transitions": shown.select(columns).sort(columns[1:])}, {COUNTS: change})
