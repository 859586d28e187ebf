"""Partial counts of steps and shards become one count per window: added up until the window is over."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.rows import DAY_MS
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Table

COUNTS: Final = "counts"
KEPT_MS: Final = 7 * DAY_MS
"""How long after its end a window that only a drain has closed is kept, for rows that come after all."""

_SEPARATOR: Final = "\x1f"
_BOOKS: Final = pl.Schema({"revision": pl.Int64(), "fresh": pl.Boolean(), "closes": pl.Int64(), "expires": pl.Int64()})


def counts_table(parts: pl.Schema) -> Table:
    """State of `add_up`: parts by key, until their window is over."""
    schema = pl.Schema({"key": pl.String(), **parts, **_BOOKS})
    return Table(name=COUNTS, schema=schema, key="key", due="closes", expires="expires")


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
    A window that a drain has closed before its time is kept for a week of event time, and given out once more,
    whole, if rows come for it after all.

    Returns:
        Rows of the windows that are over (the parts' columns and `revision`, from 1), and the change.
    """
    groups = [name for name in parts.columns if name not in sums]
    over = state.due(COUNTS, clock.watermark)["key"]
    keys = pl.concat([key, over]).unique()
    held = state.lookup(COUNTS, keys)
    opened = parts.with_columns(key=key, revision=pl.lit(0, pl.Int64), fresh=pl.lit(value=True))
    known = pl.concat([held.drop("closes", "expires"), opened.select(held.drop("closes", "expires").columns)])
    rows = known.group_by("key", *groups).agg(pl.col(*sums).sum(), pl.col("revision").max(), pl.col("fresh").any())
    closes = pl.col("window_start").dt.epoch("ms") + open_for
    rows = rows.with_columns(
        pl.col("revision").max().over("key"), pl.col("fresh").any().over("key"), closes=closes, expires=closes + KEPT_MS
    )
    closed = pl.col("closes") <= clock.watermark
    shown = rows.filter(closed, "fresh").with_columns(pl.col("revision") + 1)
    kept = rows.filter(~closed)
    if clock.watermark >= END_OF_TIME:
        told = rows.filter(closed).with_columns(
            pl.col("revision") + pl.col("fresh").cast(pl.Int64),
            fresh=pl.lit(value=False),
            closes=pl.lit(None, pl.Int64),
        )
        kept = pl.concat([kept, told])
    return shown.select(*parts.columns, "revision"), Change(keys, kept.select(held.columns))
