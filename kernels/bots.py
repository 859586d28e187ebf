"""What happens to events of bots before visitors are looked at."""

from typing import Final, Literal

import polars as pl

from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA

Bots = Literal["exclude", "include", "segment"]

ACCOUNTS: Final = ("bots", "bots_bought")
"""Where events of bots end that are left out: purchases apart."""

READ: Final = ("event_type", "event_time", "device_class")
"""Columns that are read here."""

_IS_BOT = (pl.col("device_class") == "bot").fill_null(value=False)


def divide_bots(events: pl.DataFrame, bots: Bots) -> dict[str, pl.DataFrame]:
    """Enriched events with the column `device` for segments: `kept`, and what `exclude` leaves out.

    That is `bots`, and apart from them `bots_bought`: their purchases, which are money that nobody will see.

    `include` hides what they are.
    """
    device = pl.col("device_class")
    if bots == "include":
        device = pl.when(_IS_BOT).then(pl.lit("other")).otherwise(device)
    named = events.with_columns(device=device)
    if bots != "exclude":
        return {"kept": named, "bots": named.clear(), "bots_bought": named.clear()}
    out, bought = named.filter(_IS_BOT), (pl.col("event_type") == "purchase").fill_null(value=False)
    return {"kept": named.filter(~_IS_BOT), "bots": out.filter(~bought), "bots_bought": out.filter(bought)}


def count_bots(events: pl.DataFrame, window_ms: int) -> pl.DataFrame:
    """Events of bots per window, of all events (PARTIAL_SCHEMA): counted whatever becomes of them."""
    start = pl.col("event_time").dt.truncate(f"{window_ms}ms").alias("window_start")
    counted = events.group_by(start).agg(count=_IS_BOT.sum().cast(pl.Int64), rows=pl.len().cast(pl.Int64))
    return counted.with_columns(check_name=pl.lit("bot"), subject=pl.lit("device_class")).select(PARTIAL_SCHEMA.names())
