"""A funnel's counts per window and segment, of the parts that shards and steps have found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.funnels.buckets import at_rank, condensed
from ecompulse.kernels.funnels.counts import PART_SCHEMA
from ecompulse.kernels.funnels.definition import Funnel, default_funnel
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.step import Clock, StateView, Step, Table
from ecompulse.kernels.window_totals import COUNTS, add_up, counts_table, key_of

GRAIN: Final = ("funnel", "mode", "scope", "window_start", "segment")

_SINGLE: Final = pl.Schema({"bucket": pl.Int64()})
"""What rows of the state had when each was one bucket, with `entered` as its count; null in all others."""

FUNNEL_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "funnel": pl.String(),
        "mode": pl.String(),
        "scope": pl.String(),
        "window_start": TIME,
        "window_end": TIME,
        "segment": pl.String(),
        "stage": pl.String(),
        "stage_index": pl.Int64(),
        "entered": pl.Int64(),
        "converted_from_previous": pl.Int64(),
        "conversion_rate": pl.Float64(),
        "p50_ms": pl.Int64(),
        "p90_ms": pl.Int64(),
        "revision": pl.Int64(),
    }
)


@dataclass(frozen=True)
class TotalFunnels:
    """`funnels` of the `funnel_parts` of `TrackFunnels`: one row per stage, window, segment, scope and mode.

    `entered` walks reached the stage. `converted_from_previous` of them had reached the stage just before
    (fewer than `entered` if that one may be skipped; null for the first stage), `conversion_rate` is their
    share of all that entered that one (null if nobody did). `p50_ms` and `p90_ms` are nearest-rank quantiles
    of the time since the stage that the walk reached before, within 0.2 % (see `bucket`).

    A window is over, and its rows are final, once the watermark has passed its end + the larger of `max_time`
    and `gap`: by then every walk that entered in it has been counted. Windows that nobody entered have no rows.

    Keying: funnel, mode, scope, window, segment. State: a row per stage of windows not yet over, with a histogram of
    the time: at most about 256 buckets per power of two of milliseconds.

    Attributes:
        funnel: as that of `TrackFunnels`.
        gap: ms, as that of `Sessionize`.
        name: of the operator.
    """

    funnel: Funnel = field(default_factory=default_funnel)
    gap: int = 30 * 60_000
    name: str = "funnels"
    version: int = field(default=1, init=False)

    @property
    def inputs(self) -> pl.Schema:
        """Partial counts."""
        return PART_SCHEMA

    @property
    def tables(self) -> Sequence[Table]:
        """`counts`."""
        return (counts_table(pl.Schema({**self.inputs, **_SINGLE})),)

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Counts per stage."""
        return {"funnels": FUNNEL_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """All but the stage."""
        return key_of(batch, GRAIN)

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Add up, and show the windows that are over."""
        parts = batch.select(self.inputs.names()).with_columns(bucket=pl.lit(None, pl.Int64))
        done, change = add_up(
            state,
            parts,
            self.key,
            ("entered", "converted"),
            clock,
            self.funnel.window + max(self.funnel.max_time, self.gap),
            named=GRAIN,
            joined=("buckets", "counts"),
        )
        return Step({"funnels": self._shown(done)}, {COUNTS: replace(change, rows=condensed(change.rows))})

    def _shown(self, parts: pl.DataFrame) -> pl.DataFrame:
        stages = pl.DataFrame({"stage": [stage.name for stage in self.funnel.stages]}).with_row_index("stage_index")
        stages = stages.cast({"stage_index": pl.Int64})
        # A grain's text is long: one key stands for it, and only numbers are sorted.
        keyed = parts.with_columns(_key=key_of(parts, GRAIN))
        single = pl.col("bucket").is_not_null()
        buckets = pl.when(single).then(pl.concat_list("bucket")).otherwise("buckets")
        counts = pl.when(single).then(pl.concat_list("entered")).otherwise("counts")
        groups = keyed.select("_key", "stage_index", buckets=buckets, counts=counts)
        times = groups.explode("buckets", "counts", keep_nulls=False).sort("buckets")
        times = times.group_by("_key", "stage_index", maintain_order=True).agg(p50_ms=at_rank(5), p90_ms=at_rank(9))
        counted = keyed.group_by("_key", "stage_index").agg(pl.col("entered", "converted").sum())
        counted = counted.join(times, on=["_key", "stage_index"], how="left")
        rows = keyed.select("_key", *GRAIN, "revision").unique("_key").join(stages, how="cross")
        rows = rows.join(counted, on=["_key", "stage_index"], how="left").sort(*GRAIN, "stage_index")
        first = pl.col("stage_index") == 0
        rows = rows.with_columns(
            pl.col("entered").fill_null(0),
            converted_from_previous=pl.when(~first).then(pl.col("converted").fill_null(0)),
        )
        before = pl.when(~first).then(pl.col("entered").shift(1))
        rate = pl.when(before > 0).then(pl.col("converted_from_previous") / before)
        return rows.with_columns(
            id=row_id(*GRAIN[:3], pl.col("window_start").cast(pl.Int64), "segment", "stage_index"),
            window_end=pl.col("window_start") + pl.duration(milliseconds=self.funnel.window),
            conversion_rate=rate,
        ).select(FUNNEL_SCHEMA.names())
