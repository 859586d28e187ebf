"""Episodes of fraud by others than card testers: cards and accounts of the shop's own customers, used by thieves."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ecompulse.simulator.agents import BROWSERS
from ecompulse.simulator.episode import LABEL_SCHEMA, NO_LABELS, Episode, Slice
from ecompulse.simulator.episodes import CardTesting
from ecompulse.simulator.places import COUNTRY_WEIGHTS, addresses
from ecompulse.simulator.settings import DAY_MS, HOUR_MS
from ecompulse.simulator.world import to_schema


@dataclass(frozen=True)
class StolenCards:
    """Cards of customers are used by thieves: a burst of large payments with each, from a device of the thief's.

    With `takeover` the thief is signed in as the customer (the payments carry the user's id); without it he is a guest
    who only has the card. Chargebacks name the payments one to seven days later. The payments have no purchase lines.

    Attributes:
        after_ms: when it begins, ms after the shop's start.
        cards: how many; of customers who paid by card in the slice before (or after, if none did), fewer if there are
            not as many.
        payments: with each.
        length_ms: over which they are spread.
        takeover: whether the accounts are used as well.
    """

    after_ms: int
    cards: int = 12
    payments: int = 5
    length_ms: int = 60 * 60_000
    takeover: bool = False

    @property
    def name(self) -> str:
        """In labels."""
        return "account_takeover" if self.takeover else "stolen_cards"

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Add the payments to the slice in which they begin."""
        since = part.start + self.after_ms
        if not part.holds(since):
            return rows, NO_LABELS
        paid = rows.filter((pl.col("event_type") == "payment") & pl.col("card_id").is_not_null())
        paid = paid.filter(pl.col("user_id").is_not_null())
        before = paid.filter(pl.col("event_time") < since)
        paid = paid if before.is_empty() else before
        victims = paid.sort("event_time", "event_id").unique("card_id", keep="last", maintain_order=True)
        victims = victims.tail(self.cards)
        if victims.is_empty():
            return rows, NO_LABELS
        stolen = self._stolen(victims, since, part)
        return pl.concat([rows, stolen]), self._labels(stolen, since, part)

    def _stolen(self, victims: pl.DataFrame, since: int, part: Slice) -> pl.DataFrame:
        draw, cards = part.draw, victims.height
        size = cards * self.payments
        of = np.repeat(np.arange(cards), self.payments)
        thief = pl.DataFrame(
            {
                "anonymous_id": draw.tokens(cards, 16, "a"), "device_id": draw.tokens(cards, 16, "d"),
                "session_id": draw.tokens(cards, 16, "s"), "ip": addresses(draw, draw.pick(cards, COUNTRY_WEIGHTS)),
            }
        )[of]  # fmt: skip
        user = victims["user_id"] if self.takeover else pl.Series([None] * cards, dtype=pl.String)
        found = thief.with_columns(
            event_id=draw.tokens(size), event_type=pl.lit("payment"), payment_method=pl.lit("card"),
            event_time=pl.Series(since + np.sort(draw.between(size, 0, self.length_ms))),
            order_id=draw.tokens(size, 16, "o"), payment_id=draw.tokens(size, 16, "y"),
            payment_status=pl.lit("captured"), merchant_id=pl.lit("shop-main"), currency=pl.lit("EUR"),
            user_agent=pl.lit(BROWSERS[0][1]), amount=pl.Series(30_000 + draw.below(size, 60_000)),
            card_id=victims["card_id"].gather(of), user_id=user.gather(of),
        )  # fmt: skip
        return to_schema(found)

    def _labels(self, stolen: pl.DataFrame, since: int, part: Slice) -> pl.DataFrame:
        wait = pl.Series((1 + part.draw.below(stolen.height, 7)) * DAY_MS)
        return stolen.select(
            episode=pl.lit(self.name), kind=pl.lit("fraud"), since=pl.lit(since, pl.Int64),
            until=pl.lit(since + self.length_ms, pl.Int64), transaction_id="payment_id", label=pl.lit(1, pl.Int64),
            label_time=pl.col("event_time") + wait, source=pl.lit("chargeback"),
        ).cast(LABEL_SCHEMA)  # fmt: skip


def each_day(days: int) -> tuple[Episode, ...]:
    """Three kinds of fraud on each of so many days: 40 cards tested, 12 cards stolen, 12 accounts taken over."""
    found: list[Episode] = []
    for began in range(0, days * DAY_MS, DAY_MS):
        found += [CardTesting(began + 11 * HOUR_MS, cards=40), StolenCards(began + 15 * HOUR_MS)]
        found.append(StolenCards(began + 19 * HOUR_MS, takeover=True))
    return tuple(found)
