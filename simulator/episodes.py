"""Episodes: what befalls a shop, planted in its events, with labels that say so.

An episode gets the rows of each slice before anything goes wrong with them on the way, and gives them back
changed, with labels. It is a frozen dataclass of plain settings, and part of the shop's settings.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import polars as pl

from ecompulse.simulator.agents import BROWSERS
from ecompulse.simulator.draw import Draw
from ecompulse.simulator.places import COUNTRY_WEIGHTS, addresses
from ecompulse.simulator.settings import DAY_MS
from ecompulse.simulator.world import to_schema

LABEL_SCHEMA: Final = pl.Schema(
    {
        "episode": pl.String(),
        "kind": pl.String(),
        "since": pl.Int64(),
        "until": pl.Int64(),
        "transaction_id": pl.String(),
        "label": pl.Int64(),
        "label_time": pl.Int64(),
        "source": pl.String(),
    }
)
"""Labels: `kind` is `kpi` (one row per incident, since/until UTC ms) or `fraud` (one row per payment, label
1, known from `label_time` on, as a `chargeback` or `review`)."""

NO_LABELS: Final = pl.DataFrame(schema=LABEL_SCHEMA)


@dataclass(frozen=True)
class Slice:
    """What an episode is given beside the rows.

    Attributes:
        start: from which episodes count their time, UTC ms: the shop's start, or the end of its warm-up.
        since: the slice holds visits that begin from here on, UTC ms.
        until: and before here; their later rows are in the slice too.
        draw: randomness of this episode in this slice.
    """

    start: int
    since: int
    until: int
    draw: Draw

    def holds(self, moment: int) -> bool:
        """Whether something that happens once, at `moment` (UTC ms), belongs to this slice."""
        return self.since <= moment < self.until


class Episode(Protocol):
    """Something that befalls the shop."""

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """`rows` (`ROW_SCHEMA`) as the episode leaves them; labels (`LABEL_SCHEMA`) beginning in this slice.

        Every row added needs an `event_id` of its own.
        """
        ...


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
