"""Orders: a purchase row per line, payments with retries, refunds days later."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.simulator.draw import Bools, Draw, Ints, cumulative, log_normal
from ecompulse.simulator.places import LIST_FACTOR, PRICE_STEP, TAX_OF, local_price
from ecompulse.simulator.settings import DAY_MS, HOUR_MS
from ecompulse.simulator.shoppers import CURRENCY_CODES
from ecompulse.simulator.visits import Browsing, or_null
from ecompulse.simulator.world import Act, World, gather, to_schema

_STEPS: Final = 64  # above any step of a walk
_DISCOUNTED: Final = 0.15
_DISCOUNT_PER_CENT: Final = np.asarray([5, 10, 10, 15, 20, 30], dtype=np.int64)
_FREE_SHIPPING_FROM: Final = 5_000  # EUR cents
_SHIPPING: Final = 499
_PAYS_FIRST: Final = 0.2
_FAILS: Final = 0.07
_RETRIES: Final = 0.75
_FAILS_AGAIN: Final = 0.2
_AUTHORIZED: Final = 0.15
_REFUNDED: Final = 0.06
_PARTLY: Final = 0.3
_PAY_AFTER: Final = log_normal(9_000, 1.2, 8 * 60_000)  # ms from the order to its payment
_PAY_BEFORE_MS: Final = 6_000
_RETRY_AFTER: Final = log_normal(40_000, 0.8, 4 * 60_000)
_REFUND_AFTER: Final = log_normal(9 * HOUR_MS, 0.9, 5 * DAY_MS)
_METHODS: Final = ("card", "paypal", "invoice", "apple_pay")
_METHOD_WEIGHTS: Final = cumulative([55, 25, 10, 10])
_CARD_METHODS: Final = (0, 3)
_FIRST_CARD: Final = cumulative([5, 1])
_MERCHANTS: Final = pl.Series(["shop-main", "shop-outlet", "marketplace-01", "marketplace-02"])
_MERCHANT_WEIGHTS: Final = cumulative([78, 10, 8, 4])


@dataclass(frozen=True)
class Baskets:
    """Orders of a slice: lines sorted by order; amounts in hundredths of the order's currency's unit."""

    base: pl.DataFrame
    shopper: Ints
    order_id: pl.Series
    line_order: Ints
    product: Ints
    quantity: Ints
    price: Ints
    discount: Ints

    def per_order(self, values: Ints) -> Ints:
        """Sums over the lines of each order."""
        if not len(values):
            return values
        starts = np.searchsorted(self.line_order, np.arange(self.base.height))
        sums: Ints = np.add.reduceat(values, starts)
        return sums


def orders(world: World, draw: Draw, browsing: Browsing) -> pl.DataFrame:
    """Purchase, payment and refund rows (`ROW_SCHEMA`) of the orders that visits placed.

    An amount paid is the sum of quantity * price - discount over its order's lines, plus tax and shipping.
    """
    baskets = _baskets(world, draw, browsing)
    paid, payments = _payments(world, draw, baskets)
    refunds = _refunds(world, draw, payments.filter(pl.Series(paid)))
    return pl.concat([_lines(world, baskets), to_schema(payments), to_schema(refunds)])


def _baskets(world: World, draw: Draw, browsing: Browsing) -> Baskets:
    at = np.flatnonzero(browsing.act == Act.PURCHASE)
    codes = browsing.visit[at] * _STEPS + browsing.step[at]
    lines = browsing.lines
    by_order = np.argsort(lines.visit * _STEPS + lines.step, kind="stable")
    line_order = np.searchsorted(codes, (lines.visit * _STEPS + lines.step)[by_order]).astype(np.int64)
    base, shopper = browsing.rows[at], browsing.visits.shopper[browsing.visit[at]]
    product, quantity = lines.product[by_order], lines.quantity[by_order]
    currency = world.people.currency[shopper][line_order]
    time = base["event_time"].to_numpy()[line_order]
    price = local_price(world.goods.price(product, time - world.settings.start_ms), currency)
    percent = _DISCOUNT_PER_CENT[draw.below(len(price), len(_DISCOUNT_PER_CENT))]
    percent = np.where(draw.chance(len(price), _DISCOUNTED), percent, 0)
    discount = price * quantity * percent // 100 // PRICE_STEP[currency] * PRICE_STEP[currency]
    order_id = draw.tokens(len(at), 16, "o")
    return Baskets(base, shopper, order_id, line_order, product, quantity, price, discount)


def _lines(world: World, baskets: Baskets) -> pl.DataFrame:
    """One purchase row per line, a few milliseconds apart."""
    order = baskets.line_order
    first = np.concatenate([np.ones(min(len(order), 1), bool), order[1:] != order[:-1]])
    rank = np.arange(len(order)) - np.flatnonzero(first)[np.cumsum(first) - 1] if len(order) else order
    table, currency = world.goods.products, world.people.currency[baskets.shopper]
    rows = baskets.base[order].with_columns(
        event_time=pl.Series(baskets.base["event_time"].to_numpy()[order] + 2 * rank),
        order_id=baskets.order_id.gather(order),
        opens_visit=pl.lit(False),
        opens_order=pl.Series(first),
        product_id=table["product_id"].gather(baskets.product),
        category=table["category"].gather(baskets.product),
        brand=table["brand"].gather(baskets.product),
        quantity=pl.Series(baskets.quantity),
        price=pl.Series(baskets.price),
        discount=or_null("discount", baskets.discount, baskets.discount > 0),
        currency=CURRENCY_CODES.gather(currency[order]),
    )
    return to_schema(rows)


def _totals(world: World, baskets: Baskets) -> tuple[Ints, Ints, Ints]:
    """Amount, tax and shipping of each order."""
    currency = world.people.currency[baskets.shopper]
    goods = baskets.per_order(baskets.price * baskets.quantity - baskets.discount)
    step, free = PRICE_STEP[currency], _FREE_SHIPPING_FROM * LIST_FACTOR[currency] // 1000
    shipping = np.where(goods >= free, 0, local_price(np.full_like(currency, _SHIPPING), currency))
    tax = goods * TAX_OF[world.people.country[baskets.shopper]] // 10_000 // step * step
    return goods + tax + shipping, tax, shipping


def _payments(world: World, draw: Draw, baskets: Baskets) -> tuple[Bools, pl.DataFrame]:
    """Attempts to pay, in order of attempt, and which of them succeeded."""
    size = baskets.base.height
    fails = draw.chance(size, _FAILS)
    again = np.flatnonzero(fails & draw.chance(size, _RETRIES))
    order = np.concatenate([np.arange(size), again])
    paid = np.concatenate([~fails, ~draw.chance(len(again), _FAILS_AGAIN)])
    wait = np.where(draw.chance(size, _PAYS_FIRST), -1 - draw.below(size, _PAY_BEFORE_MS),
                    1 + draw.quantile(size, _PAY_AFTER))  # fmt: skip
    wait = np.concatenate([wait, wait[again] + 5_000 + draw.quantile(len(again), _RETRY_AFTER)])
    method = draw.pick(size, _METHOD_WEIGHTS)[order]
    card = 2 * baskets.shopper[order] + draw.pick(size, _FIRST_CARD)[order]
    status = np.where(paid, np.where(draw.chance(len(order), _AUTHORIZED), 0, 1), 2)
    amount, tax, shipping = (part[order] for part in _totals(world, baskets))
    merchant = draw.pick(size, _MERCHANT_WEIGHTS)[order]
    currency = world.people.currency[baskets.shopper][order]
    rows = baskets.base[order].with_columns(
        event_type=pl.lit("payment"),
        event_time=pl.Series(baskets.base["event_time"].to_numpy()[order] + wait),
        order_id=baskets.order_id.gather(order), payment_id=draw.tokens(len(order), 16, "y"),
        payment_status=pl.Series(["authorized", "captured", "failed"]).gather(status),
        payment_method=pl.Series(_METHODS).gather(method),
        card_id=gather(world.people.card, np.where(np.isin(method, _CARD_METHODS), card, -1)),
        merchant_id=_MERCHANTS.gather(merchant), amount=pl.Series(amount), tax=pl.Series(tax),
        shipping=pl.Series(shipping), currency=CURRENCY_CODES.gather(currency),
        url=pl.lit(None, pl.String), referrer=pl.lit(None, pl.String), opens_visit=pl.lit(False),
    )  # fmt: skip
    return paid, rows


def _refunds(world: World, draw: Draw, paid: pl.DataFrame) -> pl.DataFrame:
    """Refunds of some paid orders, whole or half, from the back office: no address, no browser, no session.

    Those that would come after the end of the simulated time have not happened yet.
    """
    size = paid.height
    chosen = draw.chance(size, _REFUNDED)
    wait = HOUR_MS + draw.quantile(size, _REFUND_AFTER)
    currency = pl.Series(range(len(CURRENCY_CODES)))
    position = paid["currency"].replace_strict(CURRENCY_CODES, currency, return_dtype=pl.Int64).to_numpy()
    amount, step = paid["amount"].to_numpy(), PRICE_STEP[position]
    partly = draw.chance(size, _PARTLY)
    amount = np.where(partly, np.maximum(amount // 2 // step, 1) * step, amount)
    nothing = {name: pl.lit(None, pl.String) for name in ("ip", "user_agent", "session_id", "device_id")}
    return paid.with_columns(
        event_type=pl.lit("refund"), event_time=pl.col("event_time") + pl.Series(wait),
        amount=pl.Series(amount), payment_status=pl.lit("refunded"), app=pl.lit(False),
        tax=pl.lit(None, pl.Int64), shipping=pl.lit(None, pl.Int64), **nothing,
    ).filter(pl.Series(chosen) & (pl.col("event_time") < world.settings.end_ms))  # fmt: skip
