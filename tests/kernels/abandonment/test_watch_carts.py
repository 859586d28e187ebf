"""Abandonment against a plain walk over each visitor's cart events, over every cut, order and sharding."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels import abandonment_carts
from ecompulse.kernels.abandonment import WatchCarts
from ecompulse.kernels.sessions.kernel import Sessionize, prepare
from ecompulse.kernels.step import Clock
from support.examples import examples
from support.harness import MemoryState
from support.journeys import MINUTE, at, run, stream, told
from support.session_walk import by_visitor
from support.streams import cuts

TYPES = ("add_to_cart", "remove_from_cart", "checkout_start", "purchase", "page_view", "add_to_cart")
CARTS = TYPES[:4]


class Cart:
    """One visitor's cart, event by event."""

    def __init__(self, watch: WatchCarts) -> None:
        self.watch = watch
        self.told: list[dict[str, Any]] = []
        self.open: list[dict[str, Any]] = []
        self.clear()

    def clear(self) -> None:
        self.lines: dict[str | None, list[Any]] = {}
        self.contact: dict[str, Any] = {"user_id": None, "anonymous_id": None}
        self.overfull = self.active = self.checkout = self.alerted = False

    def pass_time(self, until: float) -> None:
        """Let time pass since the last event."""
        if self.active and not self.alerted and until - self.last >= self.watch.after:
            self.alert()
        if self.active and until - self.last >= self.watch.recover:
            self.clear()

    def alert(self) -> None:
        self.alerted = True
        lines = (
            []
            if self.overfull
            else [
                {"product": product, "quantity": quantity, "price": price}
                for product, (quantity, price) in sorted(self.lines.items(), key=lambda i: (i[0] is not None, i[0]))
            ]
        )
        priced = [line["quantity"] * line["price"] for line in lines if line["price"] is not None]
        alert = {
            **self.contact,
            "kind": "checkout" if self.checkout else "cart",
            "status": "open",
            "lines": lines,
            "value_base": sum(priced) if priced else None,
            "abandoned_at": self.last + self.watch.after,
            "recovered_at": None,
            "order_id": None,
            "revision": 1,
        }
        self.told.append(alert)
        self.open.append(alert)

    def meet(self, event: dict[str, Any]) -> None:
        kind, product = event["event_type"], event["product_id"]
        if kind not in CARTS:
            return
        if self.active:
            self.pass_time(event["at"])
        if kind == "purchase":
            back = [a for a in self.open if event["at"] < a["abandoned_at"] + self.watch.recover]
            more = {"status": "recovered", "revision": 2, "recovered_at": event["at"], "order_id": event["order_id"]}
            self.told += [alert | more for alert in back]
            self.open = []
            self.clear()
            return
        if self.alerted:
            self.alerted = self.checkout = False
        self.contact = {name: event[name] or known for name, known in self.contact.items()}
        self.last = event["at"]
        quantity = 1 if event["quantity"] is None else event["quantity"]
        if kind == "checkout_start":
            self.checkout = self.active = True
            return
        held, price = self.lines.get(product, (0, None))
        if kind == "add_to_cart":
            held, price = held + quantity, price if event["price_base"] is None else event["price_base"]
        else:
            held = max(0, held - quantity)
        self.lines[product] = [held, price]
        if held == 0:
            del self.lines[product]
        self.overfull = self.overfull or len(self.lines) > abandonment_carts.MAX_LINES
        self.active = bool(self.lines) or self.overfull
        if not self.active:
            self.clear()


def expected(frame: pl.DataFrame, watch: WatchCarts) -> list[dict[str, Any]]:
    found = []
    for visitor, events in by_visitor(frame).items():
        cart = Cart(watch)
        for event in events:
            cart.meet(event)
        cart.pass_time(float("inf"))
        found += [{"visitor": visitor, **alert} for alert in cart.told]
    return sorted(found, key=lambda row: (row["visitor"], row["abandoned_at"], row["revision"]))


def alerts(frame: pl.DataFrame, watch: WatchCarts, **kwargs: Any) -> pl.DataFrame:
    found = run(Sessionize(parts=(watch,)), frame, **kwargs)["abandonment_alerts"]
    return found.sort("visitor", "abandoned_at", "revision")


def comparable(found: pl.DataFrame) -> list[dict[str, Any]]:
    times = pl.col("abandoned_at", "recovered_at").dt.epoch("ms")
    return found.with_columns(times).drop("id", "detected_at").to_dicts()


WATCHES = [
    WatchCarts(),
    WatchCarts(after=7 * MINUTE, recover=40 * MINUTE),
    WatchCarts(after=30 * MINUTE, recover=45 * MINUTE),
]


@examples(45)
@given(st.data(), stream(TYPES, max_size=40), st.sampled_from(WATCHES))
def test_alerts_equal_the_walk(data, frame, watch):
    found = alerts(frame, watch, cuts=data.draw(cuts(frame.height)), num_shards=data.draw(st.integers(1, 3)))
    assert comparable(found) == expected(frame, watch)
    assert found.select("id", "revision").is_unique().all()


@examples(20)
@given(st.data(), stream(TYPES, max_size=40))
def test_an_overfull_cart_is_followed_without_its_content(data, frame):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(abandonment_carts, "MAX_LINES", 1)
        found = alerts(frame, WATCHES[1], cuts=data.draw(cuts(frame.height)))
        assert comparable(found) == expected(frame, WATCHES[1])


def test_a_cart_bought_meanwhile_gives_no_alert():
    frame = told((0, "add_to_cart", {"product_id": "p"}), (29.99, "purchase"), (400, "login"))
    assert alerts(frame, WatchCarts()).is_empty()


def test_a_purchase_that_comes_late_within_the_delay_prevents_the_alert():
    frame = told((0, "add_to_cart"), (38, "page_view"), (29, "purchase"), (400, "login"))
    assert alerts(frame, WatchCarts(), cuts=[1, 2, 3]).is_empty()


def test_an_abandoned_checkout_is_told_and_then_recovered():
    line = {"product_id": "p", "quantity": 2, "price_base": Decimal("4.50"), "user_id": "u"}
    frame = told((0, "add_to_cart", line), (5, "checkout_start"), (90, "purchase", {"order_id": "o"}), (400, "login"))
    found = alerts(frame, WatchCarts())
    assert found["id"].n_unique() == 1
    assert found.select(
        "kind", "status", "value_base", "user_id", "abandoned_at", "recovered_at", "order_id"
    ).rows() == [
        ("checkout", "open", Decimal("9.0000"), "u", at(35), None, None),
        ("checkout", "recovered", Decimal("9.0000"), "u", at(35), at(90), "o"),
    ]
    assert found["lines"][0].to_list() == [{"product": "p", "quantity": 2, "price": Decimal("4.5000")}]


@pytest.mark.slow
def test_an_alert_comes_when_the_watermark_passes_and_not_before():
    frame = told((0, "add_to_cart"), *[(m, "page_view") for m in range(1, 60)])
    kernel = Sessionize(parts=(WatchCarts(),))
    seen = [run(kernel, frame[:n], drain=False, cuts=range(n))["abandonment_alerts"].height for n in (40, 41)]
    assert seen == [0, 1]


def test_state_of_carts_and_alerts_is_gone_after_the_time_to_recover():
    watch = WatchCarts(after=MINUTE, recover=60 * MINUTE)
    kernel = Sessionize(parts=(watch,))
    state = MemoryState({table.name: table for table in kernel.tables})
    frame = prepare(told((0, "add_to_cart")), kernel)
    base = frame["event_time"].dt.epoch("ms")[0]
    for epoch, (minutes, size) in enumerate([(0, 0), (1, 2), (2, 2), (60, 1), (61, 0)], start=1):
        batch = frame if epoch == 1 else frame.clear()
        step = kernel.step(state, batch, Clock(epoch, base + minutes * MINUTE + (epoch == 2), 0))
        for name, change in step.changes.items():
            state.apply(name, change)
        assert sum(rows.height for name, rows in state.rows.items() if name in ("carts", "alerts")) == size, minutes


@pytest.mark.parametrize("settings_", [{"after": 0}, {"after": 10, "recover": 10}])
def test_wrong_settings_are_refused(settings_):
    with pytest.raises(ValueError, match="abandonment: "):
        WatchCarts(**settings_)


@pytest.mark.parametrize("parts", [[], [1], [2], [1, 2, 3]])
def test_an_emptied_line_is_forgotten_with_its_price_in_any_cut(parts):
    line = {"product_id": "p", "price_base": Decimal(5)}
    again = {"product_id": "p"}
    frame = told((0, "add_to_cart", line | {"user_id": "w"}), (1, "remove_from_cart", line), (2, "add_to_cart", again))
    frame = pl.concat([frame, told((100, "login"), visitor="w")])
    found = alerts(frame, WatchCarts(), cuts=parts, delay=0)
    assert found["lines"][0].to_list() == [{"product": "p", "quantity": 1, "price": None}]
    assert found["user_id"].to_list() == [None]
    assert found["value_base"].to_list() == [None]


@pytest.mark.parametrize("parts", [[], [1, 2, 3]])
def test_a_purchase_recovers_every_open_alert_of_its_visitor(parts):
    events = [(0, "add_to_cart"), (100, "add_to_cart"), (200, "login"), (300, "purchase", {"order_id": "o"})]
    found = alerts(pl.concat([told(*events), told((400, "login"), visitor="w")]), WatchCarts(), cuts=parts, delay=0)
    assert found.select("abandoned_at", "status", "order_id").rows() == [
        (at(30), "open", None),
        (at(30), "recovered", "o"),
        (at(130), "open", None),
        (at(130), "recovered", "o"),
    ]
