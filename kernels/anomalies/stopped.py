"""A stream that has stopped as a whole: its watermark stands still, so only processing time can detect the silence."""

from functools import cache
from typing import Final

import polars as pl

from ecompulse.kernels.alerts.matching import SEPARATOR
from ecompulse.kernels.anomalies.matching import POINT_SCHEMA
from ecompulse.kernels.hashing import shard_of
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.step import Clock

STOPPED: Final = "stopped"
STOPPED_SCHEMA: Final = pl.Schema({"series": pl.String(), "epoch": pl.Int64(), "began": pl.Int64(), "next": pl.Int64()})
"""While the stream stands, one row per shard, under the key of its ticks: the last `epoch` in which nothing came, `now`
of the first of them in a row (`began`, UTC ms), and after how many ms of it the `next` series is to be looked at."""

_TRIES: Final = 64  # keys per shard, of which one is sure to be its own
_LIFE: Final = 1


def tick(clock: Clock, num_shards: int) -> pl.DataFrame:
    """One row per shard (POINT_SCHEMA, no `end`): to be fed once per epoch, so that a stop is noticed."""
    del clock
    return _rows(None, num_shards)


def sign_of_life(frame: pl.DataFrame, num_shards: int) -> pl.DataFrame:
    """One row per shard (POINT_SCHEMA, no `end`) if the frame has any: the stream has not stopped."""
    return _rows(_LIFE, num_shards) if frame.height else _rows(_LIFE, 0)


def beat(clocked: pl.DataFrame, before: pl.DataFrame, clock: Clock, first: int) -> pl.DataFrame:
    """What is known of a stop (STOPPED_SCHEMA) after an epoch; no row while the stream goes on.

    A stop is a run of consecutive epochs without a sign of life. Time before the first of them does not count: it is
    unknown how much of it the job slept or worked through a backlog.

    Args:
        clocked: rows of `tick` and `sign_of_life`.
        before: what was known.
        clock: of the step.
        first: ms after which the first series is to be looked at.
    """
    alive = clocked["value"].is_not_null().any()
    if clocked.is_empty() or alive:
        return no_rows(STOPPED_SCHEMA)
    going_on = before.filter(pl.col("epoch") == clock.epoch - 1)
    start = {"series": clocked["series"][:1], "began": clock.now, "next": first}
    found = going_on if going_on.height else pl.DataFrame(start)
    return found.with_columns(epoch=pl.lit(clock.epoch, pl.Int64)).select(STOPPED_SCHEMA.names()).cast(STOPPED_SCHEMA)


def _rows(value: int | None, num_shards: int) -> pl.DataFrame:
    series = pl.Series("series", _keys(num_shards), pl.String)
    nothing = {name: pl.lit(None, dtype) for name, dtype in POINT_SCHEMA.items() if name != "series"}
    told = pl.DataFrame(series).with_columns(**nothing).with_columns(value=pl.lit(value, pl.Int128))
    return told.select(POINT_SCHEMA.names())


@cache
def _keys(num_shards: int) -> tuple[str, ...]:
    """A key for each shard; no series has it, for a series' text has more separators."""
    if not num_shards:
        return ()
    tried = pl.Series("series", [f"{SEPARATOR}{number}" for number in range(_TRIES * num_shards)])
    found = pl.DataFrame([tried, shard_of(tried, num_shards)]).unique("shard", keep="first", maintain_order=True)
    return tuple(found.sort("shard")["series"].to_list())
