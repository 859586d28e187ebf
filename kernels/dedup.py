"""Deduplication by `event_id` within a horizon of event time; only hashes are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import ORDER, TIME
from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA, book
from ecompulse.kernels.rows import ORDER_SCHEMA, check_columns, check_duration, millis
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

REFERENCES: Final = pl.Schema({"event_id": pl.String(), **ORDER_SCHEMA})
"""The columns that deduplication reads: only these need to be shuffled."""

_SEEN: Final = Table(
    name="seen",
    schema=pl.Schema({"event_id": pl.String(), "expires": pl.Int64()}),
    key="event_id",
    expires="expires",
    keep_key=False,
)


@dataclass(frozen=True)
class Deduplicate:
    """Passes the first copy of each `event_id` at once, and counts the others.

    A row is a duplicate if an earlier copy of its id lies at most `horizon` before it in event time, or
    lies after it. "Earlier" is by `event.ORDER` among the rows of one step, and by
    arrival between steps: nothing waits for the watermark, so a row costs no latency.

    Guarantee: for input within the watermark delay, equal copies (same event_time) leave exactly one row in
    any cut, order and sharding; which position it has may differ. Of unequal copies in one step the first by order
    remains. Over several steps the copy that arrived first remains, since it has already been emitted. Copies further
    apart than `horizon` are events of their own.

    A row older than watermark - horizon may have had a copy whose hash has expired. It passes, counted as `unjudged`:
    dropping it could lose an event, and operators downstream report such late rows as late.

    Keying: `event_id`. State: one row per id of 24 bytes (hash and one time) and no text, independent of the
    events' size; it expires `horizon` after the latest copy. Late rows: judged while their id is kept.

    Attributes:
        horizon: ms of event time; the default watermark delay.
        window: ms; grain of the counts.
        columns: what is carried through; at least `REFERENCES`.
        name: of the operator.

    Outputs: `unique`, `columns` of the rows that pass; `quality`, counts per window of event time and check
    (`duplicate`, `unjudged`), partial per step and shard (`quality_totals.PARTIAL_SCHEMA`).
    """

    horizon: int = 600_000
    window: int = 60_000
    columns: pl.Schema = field(default_factory=lambda: REFERENCES)
    name: str = "dedup"
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        check_columns(self.name, self.columns, REFERENCES)
        check_duration(self.name, "horizon", self.horizon)
        if self.window < 1:
            raise ValueError(f"{self.name}: window must be 1 ms or more, not {self.window}")

    @property
    def tables(self) -> Sequence[Table]:
        """`seen`: until when copies of an id are recognised."""
        return (_SEEN,)

    @property
    def inputs(self) -> pl.Schema:
        """What is carried through."""
        return self.columns

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Rows that pass, and counts of the rest."""
        return {"unique": self.columns, "quality": PARTIAL_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The event's id."""
        return batch["event_id"]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Judge one epoch's rows of a shard."""
        rows = batch.select(self.columns.names())
        # Expired by this step's own watermark: that of the epoch before depends on where the cut was.
        lasting = pl.col("expires") > (clock.watermark if clock.watermark < END_OF_TIME else -1)
        known = state.lookup(_SEEN.name, rows["event_id"]).filter(lasting).select("event_id", _until="expires")
        rows = rows.with_columns(_at=millis()).join(known, on="event_id", how="left")
        judged = self._judged(rows).sort(ORDER)
        unjudged = ~pl.col("_duplicate") & (pl.col("_at") + self.horizon < clock.watermark)
        unique = judged.filter(~pl.col("_duplicate")).select(self.columns.names())
        quality = pl.concat(
            [
                self._count(judged.filter("_duplicate"), "duplicate"),
                self._count(judged.filter(unjudged), "unjudged"),
            ]
        )
        quality = book(quality, self.window, clock.watermark)
        balance = {"unique": unique.height, "duplicates": judged.height - unique.height}
        return Step({"unique": unique, "quality": quality}, {_SEEN.name: self._change(rows, clock)}, balance)

    def _judged(self, rows: pl.DataFrame) -> pl.DataFrame:
        known = (pl.col("_at") < pl.col("_until")).fill_null(value=False)
        repeated = rows["event_id"].is_duplicated()
        # Most ids come once: only the others pay for a look at their neighbours.
        gap = pl.col("_at") - pl.col("_at").shift(1).over("event_id")
        copies = rows.filter(repeated).sort(ORDER)
        copies = copies.with_columns(_duplicate=(gap <= self.horizon).fill_null(value=False) | known)
        return pl.concat([rows.filter(~repeated).with_columns(_duplicate=known), copies])

    def _change(self, rows: pl.DataFrame, clock: Clock) -> Change:
        latest = rows.group_by("event_id").agg(
            (pl.col("_at").max() + self.horizon + 1).alias("expires"), pl.col("_until").first()
        )
        moved = (pl.col("expires") > pl.col("_until")).fill_null(value=True)
        kept = latest.filter(moved, pl.col("expires") > clock.watermark).select(_SEEN.schema.names())
        return Change(kept["event_id"], kept)

    def _count(self, rows: pl.DataFrame, rule: str) -> pl.DataFrame:
        start = (pl.col("_at") // self.window * self.window).cast(TIME)
        counted = rows.group_by(window_start=start).agg(pl.len().cast(pl.Int64).alias("count"))
        told = counted.with_columns(check_name=pl.lit(rule), subject=pl.lit("event_id"), rows=pl.col("count"))
        return told.select(PARTIAL_SCHEMA.names()).sort("window_start")
