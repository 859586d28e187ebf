"""Walks through a funnel counted: by stage, segment, and time since the stage before."""

from typing import Final

import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` namespace of expressions

from ecompulse.kernels.event import TIME
from ecompulse.kernels.funnels.buckets import bucket
from ecompulse.kernels.funnels.definition import Funnel
from ecompulse.kernels.funnels.walk import reached
from ecompulse.kernels.sessions.schemas import DIMENSIONS

NOT_SET: Final = "(not set)"
ALL: Final = "all"

PART_SCHEMA: Final = pl.Schema(
    {
        "funnel": pl.String(),
        "mode": pl.String(),
        "scope": pl.String(),
        "window_start": TIME,
        "segment": pl.String(),
        "stage_index": pl.Int64(),
        "entered": pl.Int64(),
        "converted": pl.Int64(),
        "buckets": pl.List(pl.Int64()),
        "counts": pl.List(pl.Int64()),
    }
)
"""Counts of one step and shard, to be added up. `converted` counts those of `entered` that reached the stage just
before this one. `buckets` are of the ms since the stage before (see `bucket`), in any order and perhaps repeated, and
`counts` how many of `entered` are in each; both are empty for the first stage."""


def partial_counts(walks: pl.DataFrame, funnel: Funnel) -> pl.DataFrame:
    """Counts (PART_SCHEMA) of walks by stage, segment and time since the stage before."""
    # Groups are found by whole numbers: several times faster than by text.
    modes, scopes = pl.Enum(funnel.modes), pl.Enum(funnel.scopes)
    walks = walks.with_columns(
        pl.col("mode").cast(modes), pl.col("scope").cast(scopes), *[_code(name) for name in funnel.segments]
    )
    steps = pl.concat([_steps(walks, number) for number in range(len(funnel.stages))])
    found = []
    for name in (ALL, *funnel.segments):
        value = pl.lit(ALL) if name == ALL else pl.lit(f"{name}=") + pl.col(name).first().fill_null(NOT_SET)
        groups = ["mode", "scope", "window", "stage_index", *([] if name == ALL else [f"_{name}"])]
        counts = (pl.len().cast(pl.Int64).alias("entered"), pl.col("converted").sum().cast(pl.Int64))
        buckets = pl.col("bucket").drop_nulls()
        histogram = {"buckets": buckets, "counts": pl.lit(1, pl.Int64).repeat_by(buckets.len())}
        parts = steps.group_by(groups, maintain_order=True).agg(*counts, **histogram, segment=value)
        found.append(parts.with_columns(pl.col("mode", "scope").cast(pl.String)))
    return (
        pl.concat(found, how="diagonal")
        .select(
            funnel=pl.lit(funnel.name),
            window_start=pl.col("window").cast(TIME),
            **{name: name for name in PART_SCHEMA if name not in ("funnel", "window_start")},
        )
        .select(PART_SCHEMA.names())
    )


def _code(name: str) -> pl.Expr:
    """A number for each value of a dimension."""
    hashed: pl.Expr = pl.col(name).nchash.xxh3_64(seed=0)  # type: ignore[attr-defined]
    return hashed.alias(f"_{name}")


def _steps(walks: pl.DataFrame, stage: int) -> pl.DataFrame:
    """Walks that reached a stage: the time since the one before, and whether that was the very one before."""
    before = [reached(number) for number in range(stage - 1, -1, -1)]
    since = bucket(pl.col(reached(stage)) - pl.coalesce(before)) if before else pl.lit(None, pl.Int64)
    straight = pl.col(before[0]).is_not_null() if before else pl.lit(value=False)
    return walks.filter(pl.col(reached(stage)).is_not_null()).select(
        pl.col("mode", "scope", "window", *DIMENSIONS, "^_(?:" + "|".join(DIMENSIONS) + ")$"),
        stage_index=pl.lit(stage, pl.Int64),
        bucket=since,
        converted=straight,
    )
