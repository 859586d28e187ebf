"""Episodes of every shop: payments that all fail, and cards that are tried out."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ecompulse.simulator.agents import BROWSERS
from ecompulse.simulator.episode import LABEL_SCHEMA, NO_LABELS, Slice
from ecompulse.simulator.places import COUNTRY_WEIGHTS, addresses
from ecompulse.simulator.settings import DAY_MS
from ecompulse.simulator.world import to_schema


@dataclass(frozen=True)
class CheckoutOutage:
    """Every payment fails for a while.

    Attributes:
        after_ms: when it begins, ms after the shop's start.
        length_ms: how long it lasts.
    """

    after_ms: int
    length_ms: int = 20 * 60_000

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Fail the payments, and take back refunds of what was never paid."""
        since = part.start + self.after_ms
        until = since + self.length_ms
        hit = (pl.col("event_type") == "payment") & pl.col("event_time").is_between(since, until, closed="left")
        struck = rows.filter(hit)["order_id"].unique()
        rows = rows.with_columns(payment_status=pl.when(hit).then(pl.lit("failed")).otherwise("payment_status"))
        paid = rows.filter((pl.col("event_type") == "payment") & (pl.col("payment_status") != "failed"))
        unpaid = struck.filter(~struck.is_in(paid["order_id"].implode()))
        refund = (pl.col("event_type") == "refund") & pl.col("order_id").is_in(unpaid.implode())
        return rows.filter(~refund), self._label(since, until) if part.holds(since) else NO_LABELS

    @staticmethod
    def _label(since: int, until: int) -> pl.DataFrame:
        row = {"episode": "checkout_outage", "kind": "kpi", "since": since, "until": until}
        return pl.DataFrame([row], schema=LABEL_SCHEMA)


@dataclass(frozen=True)
class CardTesting:
    """Stolen cards are tried out: many small payments from one address with many cards, most of them refused.

    The payments have no purchase lines. Chargebacks name the accepted ones one to seven days later, a review
    the rest after an hour.

    Attributes:
        after_ms: when it begins, ms after the shop's start.
        cards: how many are tried.
        length_ms: how long it lasts.
    """

    after_ms: int
    cards: int = 120
    length_ms: int = 10 * 60_000

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Add the payments to the slice in which they begin."""
        since = part.start + self.after_ms
        if not part.holds(since):
            return rows, NO_LABELS
        draw, size = part.draw, self.cards
        time = since + np.sort(draw.between(size, 0, self.length_ms))
        accepted = pl.Series(draw.chance(size, 0.2))
        one = pl.DataFrame(
            {
                "event_type": "payment", "payment_method": "card",
                "merchant_id": "shop-main", "currency": "EUR",
                "anonymous_id": draw.tokens(1, 16, "a"), "device_id": draw.tokens(1, 16, "d"),
                "session_id": draw.tokens(1, 16, "s"), "user_agent": BROWSERS[0][1],
                "ip": addresses(draw, draw.pick(1, COUNTRY_WEIGHTS)),
            }
        )  # fmt: skip
        tried = one[np.zeros(size, dtype=np.int64)].with_columns(
            event_id=draw.tokens(size), event_time=pl.Series(time), order_id=draw.tokens(size, 16, "o"),
            payment_id=draw.tokens(size, 16, "y"), card_id=draw.tokens(size, 16, "c"),
            amount=pl.Series(100 + draw.below(size, 400)),
            payment_status=pl.select(
                pl.when(accepted).then(pl.lit("captured")).otherwise(pl.lit("failed"))
            ).to_series(),
        )  # fmt: skip
        days = pl.Series((1 + draw.below(size, 7)) * DAY_MS)
        return pl.concat([rows, to_schema(tried)]), self._labels(since, tried, accepted, days)

    def _labels(self, since: int, tried: pl.DataFrame, accepted: pl.Series, wait: pl.Series) -> pl.DataFrame:
        return tried.select(
            episode=pl.lit("card_testing"), kind=pl.lit("fraud"), since=pl.lit(since, pl.Int64),
            until=pl.lit(since + self.length_ms, pl.Int64),
            transaction_id="payment_id", label=pl.lit(1, pl.Int64),
            label_time=pl.col("event_time") + pl.when(accepted).then(wait).otherwise(3_600_000),
            source=pl.when(accepted).then(pl.lit("chargeback")).otherwise(pl.lit("review")),
        )  # fmt: skip
