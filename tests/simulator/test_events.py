"""What the written events say, read back with plain Python."""

import json
from collections import defaultdict
from decimal import Decimal
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path

import pytest

from ecompulse.kernels.event import BY_NAME, EVENT_TYPES, FIELDS, PAYMENT_STATUSES, Kind
from ecompulse.simulator.places import COUNTRIES
from ecompulse.simulator.settings import instant

GEO = Path(__file__).parents[3] / "shared" / "data" / "geo" / "dbip-country.mmdb"
KNOWN_EXTRAS = {"app_version", "experiment", "scroll_depth", "consent"}
PYTHON_TYPES = {Kind.TEXT: str, Kind.MONEY: float, Kind.INTEGER: int, Kind.TIME: (str, int), Kind.OBJECT: dict}


def test_good_rows_fit_the_field_table(good) -> None:
    for event in good:
        assert set(event) - set(BY_NAME) <= KNOWN_EXTRAS
        assert all(field.name in event for field in FIELDS if field.required)
        assert "user_id" in event or "anonymous_id" in event
        for name in set(event) & set(BY_NAME):
            assert isinstance(event[name], PYTHON_TYPES[BY_NAME[name].kind]), (name, event[name])
        assert event.get("payment_status", "captured") in PAYMENT_STATUSES
        ip_address(event.get("ip", "::"))
    assert {event["event_type"] for event in good} == {*EVENT_TYPES, "wishlist_add"}
    assert len({event["event_id"] for event in good}) == len(good)


def test_apps_send_epoch_times_and_browsers_iso(good) -> None:
    for event in good:
        app = event.get("user_agent", "").startswith("ShopApp")
        assert isinstance(event["event_time"], int) == app


def test_the_funnel_narrows(written) -> None:
    by_type, truth = written[1].by_type, written[1]
    stages = [by_type[name] for name in ("product_view", "add_to_cart", "checkout_start")]
    assert stages == sorted(stages, reverse=True)
    assert truth.orders < by_type["checkout_start"]
    assert 0 < truth.orders <= by_type["purchase"]


def test_every_visit_buys_only_what_it_put_into_the_cart(good) -> None:
    steps = defaultdict(list)
    for event in sorted(good, key=time_of):
        if event["event_type"] in {"add_to_cart", "remove_from_cart", "purchase"}:
            steps[event["session_id"]].append(event)
    carts = 0
    for events in steps.values():
        cart: dict[str, int] = defaultdict(int)
        for event in events:
            cart[event["product_id"]] += event["quantity"] * (1 if event["event_type"] == "add_to_cart" else -1)
            assert cart[event["product_id"]] >= 0
            carts += event["event_type"] == "purchase"
    assert carts > 50


def test_a_payment_is_the_sum_of_its_orders_lines(good) -> None:
    lines, payments = defaultdict(list), defaultdict(list)
    for event in good:
        if event["event_type"] == "purchase":
            lines[event["order_id"]].append(event)
        elif event["event_type"] == "payment":
            payments[event["order_id"]].append(event)
    assert set(lines) == set(payments)
    for order, attempts in payments.items():
        goods = sum(money(e["price"]) * e["quantity"] - money(e.get("discount", 0)) for e in lines[order])
        for paid in attempts:
            assert money(paid["amount"]) == goods + money(paid["tax"]) + money(paid["shipping"])
            assert abs(time_of(paid) - time_of(lines[order][0])) < 15 * 60_000
            assert {paid["currency"]} == {line["currency"] for line in lines[order]}
        assert sum(paid["payment_status"] != "failed" for paid in attempts) <= 1
    assert any(len(attempts) == 2 for attempts in payments.values())
    early = [o for o in payments if min(map(time_of, payments[o])) < min(map(time_of, lines[o]))]
    assert 0.05 < len(early) / len(payments) < 0.4


def test_refunds_follow_paid_orders(good, settings) -> None:
    paid = {e["payment_id"]: e for e in good if e.get("payment_status") in {"authorized", "captured"}}
    refunds = [event for event in good if event["event_type"] == "refund"]
    assert refunds
    for refund in refunds:
        payment = paid[refund["payment_id"]]
        assert 0 < refund["amount"] <= payment["amount"]
        assert time_of(payment) + 3_600_000 <= time_of(refund) < settings.end_ms


def test_identity_follows_sign_in_and_sign_out(good) -> None:
    visits = defaultdict(list)
    for event in sorted(good, key=time_of):
        if event["event_type"] not in {"payment", "refund", "purchase"} and "session_id" in event:
            visits[event["session_id"]].append(event)
    changed = shared = 0
    for events in visits.values():
        for before, after in pairwise(events):
            if before["event_type"] == "logout":
                assert after["event_type"] == "login"
            elif before.get("user_id") != after.get("user_id"):
                assert after["event_type"] in {"login", "signup"}
                changed += 1
        shared += len({event["user_id"] for event in events if "user_id" in event}) > 1
    assert changed > 100
    assert shared > 5


def test_nobody_signs_up_twice_or_shops_as_a_user_before(good) -> None:
    seen: set[str] = set()
    signed_up: set[str] = set()
    for event in sorted(good, key=time_of):
        if event["event_type"] == "signup":
            assert event["user_id"] not in seen
            signed_up.add(event["user_id"])
        seen.add(event.get("user_id", ""))
    assert signed_up


def test_visits_land_from_campaigns_and_go_on_from_their_own_pages(good) -> None:
    urls = [event["url"] for event in good if "url" in event]
    assert any("utm_source=google" in url and len(url.split("gclid=")[-1]) == 16 for url in urls)
    assert any(event.get("referrer") == "https://www.google.com/" for event in good)
    inner = [event["referrer"] for event in good if event.get("referrer", "").startswith("https://shop.example")]
    assert set(inner) <= set(urls)
    searches = [event for event in good if event["event_type"] == "search"]
    assert all(event["query"] and isinstance(event["properties"]["results"], int) for event in searches)
    assert any('"' in event["query"] for event in searches)


def test_addresses_belong_to_the_country_that_they_are_drawn_for(good, written) -> None:
    maxminddb = pytest.importorskip("maxminddb")
    if not GEO.exists():
        pytest.skip(f"{GEO} is absent")
    users = map(json.loads, (written[0] / "users.jsonl").read_text().splitlines())
    country = {user["user_id"]: user["country"] for user in users}
    with maxminddb.open_database(GEO) as database:
        found = [
            (country[event["user_id"]], database.get(event["ip"])["country_code"])
            for event in good
            if event.get("user_id") in country and ":" in event.get("ip", "")
        ]
    own = sum(mine == theirs for mine, theirs in found)
    assert own > 0.9 * len(found) > 100  # a shared device is used from its owner's country


def test_country_blocks_are_public_and_apart() -> None:

    blocks = [ip_network(block) for country in COUNTRIES for block in (country.v4, country.v6)]
    assert all(block.is_global for block in blocks)
    assert not any(a.overlaps(b) for a in blocks for b in blocks if a is not b and a.version == b.version)


def time_of(event) -> int:

    return instant(event["event_time"])


def money(value) -> Decimal:
    return Decimal(str(value))
