"""Series that have gone silent, by processing time."""

from collections.abc import Sequence

import polars as pl

from ecompulse.kernels.alerts.incidents import FIRING, NEVER, RECOVERED, TURN_SCHEMA
from ecompulse.kernels.alerts.rules import Watch
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.step import Clock

_KEY = ("watched", "series")


def watch_silence(
    readings: pl.DataFrame, held: pl.DataFrame, watches: Sequence[Watch], clock: Clock
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Turns (TURN_SCHEMA) of rules of absence, and what is known of their series afterwards (the columns of `held`).

    A series is known from its first data on, and stays known while its rule is there. A late revision of a window is
    data, so it puts off an incident; it ends none, since an incident begins with the last window and ends with a later.
    """
    if readings.is_empty() and held.is_empty():
        return no_rows(TURN_SCHEMA), held
    absent = {watch.name: watch.rule.absent for watch in watches if watch.rule.absent}
    data = readings.filter(pl.col("series").is_not_null(), (pl.col("value") != 0).fill_null(value=False))
    data = data.join(held.select(*_KEY, was_last="last"), on=_KEY, how="left", maintain_order="left")
    later = pl.col("end").filter((pl.col("end") > pl.col("was_last")).fill_null(value=True))
    data = data.group_by(_KEY).agg(pl.col("rule").first(), later.min().alias("first"), pl.col("end").max())
    both = held.select(*_KEY, was_rule="rule", was_last="last", since="since", was_heard="heard")
    both = both.join(data, on=_KEY, how="full", coalesce=True)
    came = pl.col("end").is_not_null()
    both = both.with_columns(
        rule=pl.coalesce("rule", "was_rule"),
        last=pl.max_horizontal("end", "was_last"),
        heard=pl.when(came).then(clock.now).otherwise("was_heard"),
    )
    limit = pl.col("rule").replace_strict(absent, default=NEVER, return_dtype=pl.Int64)
    firing = pl.col("since").is_not_null()
    fires = ~firing & (clock.now - pl.col("heard") >= limit)
    recovers = firing & pl.col("first").is_not_null()
    both = both.with_columns(fires=fires, recovers=recovers)
    turns = both.filter(pl.col("fires") | pl.col("recovers")).select(
        "rule",
        "series",
        state=pl.when("fires").then(pl.lit(FIRING)).otherwise(pl.lit(RECOVERED)),
        began=pl.when("fires").then("last").otherwise("since"),
        until=pl.when("recovers").then("first"),
        value=pl.lit(None, pl.Int128),
    )
    since = pl.when("fires").then("last").when("recovers").then(None).otherwise("since")
    after = both.with_columns(since=since, began=pl.lit(None, pl.Int64), expires=pl.lit(NEVER, pl.Int64))
    return turns.select(TURN_SCHEMA.names()), after.select(held.columns)
