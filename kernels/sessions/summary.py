"""The summary of a session: counts, amounts, and first and last values of its rows, added to the open session."""

from typing import Final

import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` namespace of expressions

from ecompulse.kernels.rows import line_amount
from ecompulse.kernels.sessions.schemas import (
    COUNTED,
    DIMENSIONS,
    MAX_DISTINCT,
    OPEN_SCHEMA,
    REVENUE,
    STAGES,
)

VIEWS: Final = ("page_view", "product_view", "search")
"""Event types that show a page."""

_TYPE: Final = pl.col("event_type")
_HELD: Final = "_held_"  # prefix of what state holds of a session
_SETS: Final = ("products", "orders")
_SUMS: Final = ("events", *COUNTED, "priced", "revenue")
_FIRSTS: Final = ("entry_url", *DIMENSIONS)
_LASTS: Final = ("exit_url", "page")


def summarise(rows: pl.DataFrame, known: pl.DataFrame, gap: int) -> pl.DataFrame:
    """One row per session that has rows, merged with the open one that it continues.

    Revenue of a purchase line is `amount_base`, else `price_base` x `quantity` (1 if null); lines without
    either are counted as purchases and add nothing. Entry and exit are the first and last known URL,
    channel, device and country the first known value, the furthest stage the highest of `STAGES` reached
    in any order.

    Args:
        rows: numbered rows (see `number`).
        known: open sessions of their visitors (OPEN_SCHEMA).
        gap: ms.

    Returns:
        OPEN_SCHEMA with `_session`, `_cut` and `_continues` (Boolean) and `_earlier` (Int64, rows it had before
        this step), by `_session`.
    """
    told = _tell(rows)
    held = known.drop("closes", *_SETS).rename(lambda name: _HELD + name).with_columns(_continues=pl.lit(value=True))
    told = told.join(
        held,
        left_on=["visitor", "_continues"],
        right_on=[f"{_HELD}visitor", "_continues"],
        how="left",
        maintain_order="left",
    )
    sums = [pl.col(name) + pl.col(_HELD + name).fill_null(0) for name in _SUMS]
    firsts = [pl.coalesce(_HELD + name, name).alias(name) for name in ("opened", *_FIRSTS)]
    lasts = [pl.coalesce(name, _HELD + name) for name in _LASTS]
    told = told.with_columns(
        *sums,
        *firsts,
        *lasts,
        start=pl.min_horizontal("start", f"{_HELD}start"),
        rank=pl.max_horizontal("rank", f"{_HELD}rank"),
        revision=pl.col(f"{_HELD}revision").fill_null(0),
        closes=pl.col("end") + gap,
        _earlier=pl.col(f"{_HELD}events").fill_null(0),
    )
    for name, column in (("products", "product_id"), ("orders", "order_id")):
        told = told.join(_distinct(rows, told, known, name, column), on="_session", how="left", maintain_order="left")
    return told.select(*OPEN_SCHEMA.names(), "_session", "_cut", "_continues", "_earlier")


def _tell(rows: pl.DataFrame) -> pl.DataFrame:
    """Summaries of the rows of this step alone."""
    rank = _TYPE.replace_strict(STAGES, range(len(STAGES)), default=-1, return_dtype=pl.Int64)
    line = pl.coalesce("amount_base", line_amount(pl.col("price_base"), pl.col("quantity").fill_null(1)))
    bought = pl.when(_TYPE == "purchase").then(line.cast(REVENUE))
    view = pl.when(_TYPE.is_in(VIEWS)).then("url")
    first = {name: pl.col(name).first(ignore_nulls=True) for name in DIMENSIONS}
    return (
        rows.with_columns(_rank=rank, _bought=bought, _view=view)
        .group_by("_session", maintain_order=True)
        .agg(
            pl.col("visitor", "_cut").first(),
            (pl.col("_head") & ~pl.col("_new")).first().alias("_continues"),
            pl.col("_at").first().alias("opened"),
            pl.col("_anchor").first().alias("anchor"),
            pl.col("event_time").min().dt.epoch("ms").alias("start"),
            pl.col("_at").last().alias("end"),
            pl.len().cast(pl.Int64).alias("events"),
            *[_TYPE.eq(kind).sum().cast(pl.Int64).alias(name) for name, kind in COUNTED.items()],
            pl.col("_bought").count().cast(pl.Int64).alias("priced"),
            pl.col("_bought").sum().alias("revenue"),
            pl.col("_rank").max().alias("rank"),
            pl.col("url").first(ignore_nulls=True).alias("entry_url"),
            pl.col("url").last(ignore_nulls=True).alias("exit_url"),
            pl.col("_view").last(ignore_nulls=True).alias("page"),
            **first,
        )
    )


def _distinct(rows: pl.DataFrame, told: pl.DataFrame, known: pl.DataFrame, name: str, column: str) -> pl.DataFrame:
    """Hashes of the distinct values of each session, at most MAX_DISTINCT: `_session` and `name`."""
    met = pl.col(column).is_not_null() & (pl.lit(value=True) if name == "products" else _TYPE == "purchase")
    value = pl.col(column).nchash.xxh3_64(seed=0)  # type: ignore[attr-defined]
    found = rows.filter(met).select("_session", value.alias(name))
    held = (
        told.filter("_continues")
        .select("_session", "visitor")
        .join(known.select("visitor", name), on="visitor")
        .select("_session", pl.col(name))
        .explode(name)
        .drop_nulls()
    )
    pairs = pl.concat([found, held]).sort("_session", name)
    same = (pl.col("_session") == pl.col("_session").shift(1)) & (pl.col(name) == pl.col(name).shift(1))
    pairs = pairs.filter(~same.fill_null(value=False)).with_columns(pl.col("_session").set_sorted())
    return pairs.group_by("_session", maintain_order=True).agg(pl.col(name).head(MAX_DISTINCT))
