"""Episodes that a shop's figures show: visitors stay away, prices are wrong, the search finds nothing.

Each has one label of kind `kpi`, with `since` and `until` (UTC ms).
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from ecompulse.simulator.episode import LABEL_SCHEMA, NO_LABELS, Slice

_NOTHING_FOUND: Final = '{"results":0}'
_MONEY: Final = ("price", "discount", "amount", "tax")


@dataclass(frozen=True)
class TrafficCollapse:
    """Most visits that would begin never do, with all that they would have led to; crawlers keep coming.

    Attributes:
        after_ms: when it begins, ms after the shop's start.
        length_ms: how long it lasts.
        share: of the visits that is lost, from 0 to 1.
    """

    after_ms: int
    length_ms: int = 60 * 60_000
    share: float = 0.95

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Take the visits out, and refunds of orders that were not placed."""
        since, until = _span(part, self.after_ms, self.length_ms)
        begun = rows.filter(pl.col("session_id").is_not_null()).group_by("session_id", maintain_order=True)
        visits = begun.agg(pl.col("event_time").min()).filter(pl.col("event_time").is_between(since, until, "left"))
        lost = visits["session_id"].filter(pl.Series(part.draw.chance(visits.height, self.share)))
        gone = pl.col("session_id").is_in(lost.implode()).fill_null(value=False)
        orders = rows.filter(gone)["order_id"].drop_nulls().unique()
        gone |= pl.col("order_id").is_in(orders.implode()).fill_null(value=False)
        return rows.filter(~gone), _label("traffic_collapse", part, since, until)


@dataclass(frozen=True)
class PriceError:
    """All prices are wrong by a factor: in the pages, and so in what is bought, paid and given back.

    Attributes:
        after_ms: when it begins, ms after the shop's start.
        length_ms: how long it lasts.
        factor: of the right price; a tenth is a comma in the wrong place.
    """

    after_ms: int
    length_ms: int = 120 * 60_000
    factor: float = 10.0

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Change the money of pages seen and orders placed meanwhile."""
        since, until = _span(part, self.after_ms, self.length_ms)
        meanwhile = pl.col("event_time").is_between(since, until, "left")
        placed = rows.filter(meanwhile, pl.col("event_type") == "purchase")["order_id"].unique()
        hit = (
            pl.when(pl.col("order_id").is_null()).then(meanwhile).otherwise(pl.col("order_id").is_in(placed.implode()))
        )
        wrong = [
            pl.when(hit).then((pl.col(name) * self.factor).round().cast(pl.Int64)).otherwise(name).alias(name)
            for name in _MONEY
        ]
        return rows.with_columns(wrong), _label("price_error", part, since, until)


@dataclass(frozen=True)
class SearchOutage:
    """No search finds anything for a while.

    Attributes:
        after_ms: when it begins, ms after the shop's start.
        length_ms: how long it lasts.
    """

    after_ms: int
    length_ms: int = 40 * 60_000

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Empty the results."""
        since, until = _span(part, self.after_ms, self.length_ms)
        hit = (pl.col("event_type") == "search") & pl.col("event_time").is_between(since, until, "left")
        empty = pl.when(hit).then(pl.lit(_NOTHING_FOUND)).otherwise("properties")
        return rows.with_columns(properties=empty), _label("search_outage", part, since, until)


def _span(part: Slice, after_ms: int, length_ms: int) -> tuple[int, int]:
    since = part.start + after_ms
    return since, since + length_ms


def _label(name: str, part: Slice, since: int, until: int) -> pl.DataFrame:
    row = {"episode": name, "kind": "kpi", "since": since, "until": until}
    return pl.DataFrame([row], schema=LABEL_SCHEMA) if part.holds(since) else NO_LABELS
