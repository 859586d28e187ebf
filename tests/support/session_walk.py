"""Sessions by a plain walk over each visitor's events: slow, and obviously right."""

import itertools
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import polars as pl

ORDER = ("event_time", "source", "source_partition", "source_offset")
STAGES = ["product_view", "add_to_cart", "checkout_start", "purchase"]
VIEWS = ("page_view", "product_view", "search")
Event = dict[str, Any]


def by_visitor(frame: pl.DataFrame) -> dict[str, list[Event]]:
    """Each visitor's events in total order, with `at` in ms."""
    found = defaultdict(list)
    for event in frame.with_columns(at=pl.col("event_time").dt.epoch("ms")).sort(ORDER).to_dicts():
        found[event["visitor"]].append(event)
    return found


def sessions_of(events: list[Event], gap: int, longest: int | None) -> list[tuple[list[Event], str]]:
    """Sessions of one visitor, and why each ended; the last one's reason is open."""
    sessions: list[tuple[list[Event], str]] = []
    current: list[Event] = []
    begin = 0
    for event in events:
        if current and event["at"] - current[-1]["at"] >= gap:
            sessions.append((current, "gap"))
            current = []
            begin = event["at"]
        elif not current:
            begin = event["at"]
        elif longest and (event["at"] - begin) // longest > (current[-1]["at"] - begin) // longest:
            sessions.append((current, "max_length"))
            current = []
        current.append(event)
    return [*sessions, (current, "")] if current else sessions


def summary(events: list[Event]) -> dict[str, Any]:
    """What a session shows, without id and close."""
    kinds = Counter(event["event_type"] for event in events)
    bought = [event for event in events if event["event_type"] == "purchase"]
    known = [amount for amount in map(worth, bought) if amount is not None]
    urls = [event["url"] for event in events if event["url"] is not None]
    reached = [STAGES.index(kind) for kind in kinds if kind in STAGES]
    return {
        "visitor": events[0]["visitor"],
        "session_start": events[0]["event_time"],
        "session_end": events[-1]["event_time"],
        "duration_ms": events[-1]["at"] - events[0]["at"],
        "events": len(events),
        "page_views": kinds["page_view"],
        "product_views": kinds["product_view"],
        "carts": kinds["add_to_cart"],
        "checkouts": kinds["checkout_start"],
        "purchases": kinds["purchase"],
        "orders": len({event["order_id"] for event in bought} - {None}),
        "revenue_base": None if bought and not known else sum(known, Decimal(0)),
        "products": len({event["product_id"] for event in events} - {None}),
        "entry_url": urls[0] if urls else None,
        "exit_url": urls[-1] if urls else None,
        **{name: first(events, name) for name in ("channel", "device", "country")},
        "bounced": len(events) == 1 and events[0]["event_type"] in ("page_view", "product_view"),
        "converted": bool(bought),
        "furthest_stage": STAGES[max(reached)] if reached else None,
    }


def worth(event: Event) -> Decimal | None:
    """Revenue of a purchase line."""
    if event["amount_base"] is not None or event["price_base"] is None:
        return event["amount_base"]
    return event["price_base"] * (1 if event["quantity"] is None else event["quantity"])


def first(events: list[Event], name: str) -> Any:
    """First known value."""
    return next((event[name] for event in events if event[name] is not None), None)


def transitions(events: list[Event], window: int) -> Counter[tuple[int, str, str]]:
    """Steps from page to page of one session: (window start, from, to)."""
    pages = [(e["at"], urlsplit(e["url"]).path or "/") for e in events if e["event_type"] in VIEWS and e["url"]]
    return Counter((t // window * window, a, b) for (_, a), (t, b) in itertools.pairwise(pages))
