import hashlib
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import polars as pl
import pytest

from ecompulse.kernels.event import EVENT_SCHEMA
from ecompulse.simulator.encode import payload
from ecompulse.simulator.rhythm import Rhythm
from ecompulse.simulator.settings import DAY_MS, HOUR_MS, Settings, SettingsError, instant, milliseconds
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.truth import Truth

TINY = Settings(seed=3, events=3_000)


def digest(settings) -> str:
    found = hashlib.sha256()
    for chunk in simulate(settings).chunks():
        found.update(payload(chunk.lines))
    return found.hexdigest()


def test_equal_settings_give_equal_bytes_and_other_seeds_others() -> None:
    assert digest(TINY) == digest(replace(TINY))
    assert digest(TINY) != digest(replace(TINY, seed=4))


def test_a_shop_can_be_iterated_again() -> None:
    shop = simulate(TINY)
    assert [payload(c.lines) for c in shop.chunks()] == [payload(c.lines) for c in shop.chunks()]


@pytest.mark.parametrize("change", [{}, {"flat": True}, {"bots": 0.3}, {"duration_ms": 7 * DAY_MS}])
def test_about_as_many_events_as_asked_for(change) -> None:
    asked = replace(TINY, events=30_000, **change)
    assert sum(chunk.truth.events for chunk in simulate(asked).chunks()) == pytest.approx(30_000, rel=0.06)


def test_chunks_hold_what_arrives_in_their_slice(chunks, settings) -> None:
    for chunk in chunks:
        arrival = chunk.rows["arrival"]
        assert arrival.is_sorted()
        assert arrival.min() >= chunk.since
        assert chunk is chunks[-1] or arrival.max() < chunk.until
    assert [(chunk.since, chunk.until) for chunk in chunks] == settings.slices()


def test_events_have_the_declared_types(chunks, good) -> None:
    frame = pl.concat([chunk.events() for chunk in chunks])
    assert frame.schema == EVENT_SCHEMA
    assert frame["event_id"].to_list() == [event["event_id"] for event in good]
    assert [float(price) for price in frame["price"].drop_nulls()] == [e["price"] for e in good if "price" in e]


def test_shoppers_have_habits(good) -> None:
    people = [event for event in good if event.get("session_id")]
    agents, addresses, visits = defaultdict(set), defaultdict(set), defaultdict(set)
    for event in people:
        agents[event["anonymous_id"]].add(event["user_agent"])
        addresses[event["anonymous_id"]].add(event["ip"])
        visits[event["anonymous_id"]].add(event["session_id"])
    assert {len(found) for found in agents.values()} == {1}
    assert max(len(found) for found in addresses.values()) == 2
    assert max(len(found) for found in visits.values()) > 5


def test_products_are_skewed_and_the_day_has_a_rhythm(good) -> None:
    views = Counter(event["product_id"] for event in good if event["event_type"] == "product_view")
    top = sum(count for _, count in views.most_common(len(views) // 10))
    assert top > 0.35 * views.total()
    rhythm = Rhythm(0, DAY_MS, flat=False)
    night, evening = rhythm.count(10_000, 2 * HOUR_MS, 5 * HOUR_MS), rhythm.count(10_000, 18 * HOUR_MS, 21 * HOUR_MS)
    assert evening > 10 * night > 0


def test_a_rhythm_counts_every_visit_once() -> None:
    rhythm = Rhythm(1_000, 5 * DAY_MS + 77, flat=False)
    edges = [1_000, 5_000, HOUR_MS, 3 * DAY_MS + 1, 5 * DAY_MS, 5 * DAY_MS + 77]
    assert sum(rhythm.count(997, *span) for span in pairwise(edges)) == 997


def test_bots_are_fast_and_many_pages_deep(chunks) -> None:
    bots = pl.concat([chunk.rows for chunk in chunks]).filter(pl.col("bot") & (pl.col("flaw") == 0))
    gaps = bots.sort("anonymous_id", "event_time")["event_time"].diff()
    assert gaps.median() < 1_000
    assert set(bots["event_type"]) == {"page_view", "product_view"}


def test_truths_add_up() -> None:
    parts = [chunk.truth for chunk in simulate(TINY).chunks()]
    forward, backward = sum(parts, Truth()), sum(reversed(parts), Truth())
    assert forward == backward
    assert forward.rows == sum(part.rows for part in parts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"broken": 1.5}, "broken is 1.5: a share is from 0 to 1"),
        ({"events": 0}, "events is 0: it must be at least 1"),
        ({"start": "2025-09-01"}, "no zone"),
        ({"start": "monday"}, "no ISO 8601 time"),
        ({"start": "0001-01-01T00:00:00Z"}, "start is .*: it must be from 1900 on"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "beyond what a calendar has"),
        ({"start": "9999-12-31T00:00:00Z"}, "the duration end before 9000"),
        ({"seed": -1}, "seed is -1"),
        ({"products": 2_000_000}, "products is 2000000: at most"),
    ],
)
def test_impossible_settings_name_the_setting(change, message) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings(**change)


def test_durations_and_instants() -> None:
    assert milliseconds("2d") == 2 * DAY_MS
    assert instant("2025-09-01T02:00:00+02:00") == instant("2025-09-01T00:00:00Z") == 1_756_684_800_000
    with pytest.raises(SettingsError, match="'1 day' is no duration"):
        milliseconds("1 day")


@pytest.mark.parametrize("events", [1, 40])
def test_a_nearly_empty_shop_still_works(events) -> None:
    settings = Settings(events=events, shoppers=1, products=1)
    assert sum(chunk.rows.height for chunk in simulate(settings).chunks()) < 400
