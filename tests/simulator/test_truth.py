"""The truth against a recount of the written bytes, by plain Python and by the real decoder."""

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from ecompulse.kernels.decode import decode_json
from ecompulse.kernels.event import BY_NAME, EVENT_TYPES, RAW_SCHEMA
from ecompulse.simulator.flaws import BREAKS
from ecompulse.simulator.settings import instant

NOW = instant("2026-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def decoded(lines):
    raw = {
        "raw": lines,
        "source": ["t"] * len(lines),
        "source_partition": [0] * len(lines),
        "source_offset": range(len(lines)),
    }
    return decode_json(pl.DataFrame(raw, schema=RAW_SCHEMA), NOW)


def test_the_decoder_refuses_what_was_broken_and_nothing_else(decoded, written) -> None:
    truth = written[1]
    assert dict(Counter(decoded.dead["rule"])) == truth.broken
    assert len(truth.broken) > 9
    assert decoded.events.height == truth.events + truth.duplicates


@pytest.mark.parametrize(("case", "broken"), [(case, broken) for case, _, broken in BREAKS])
def test_every_way_to_break_a_line_is_the_case_that_it_says(case, broken, good) -> None:
    one_of_each = list({event["event_type"]: event for event in good}.values())
    lines = [broken(json.dumps(event, separators=(",", ":")).encode()) for event in one_of_each]
    position = {"source": ["t"] * len(lines), "source_partition": [0] * len(lines), "source_offset": range(len(lines))}
    dead = decode_json(pl.DataFrame({"raw": lines, **position}, schema=RAW_SCHEMA), NOW).dead
    assert dead["rule"].to_list() == [case] * len(lines)


@pytest.fixture(scope="module")
def arrived(lines, decoded) -> list[dict[str, Any]]:
    """Good lines and copies, in order of arrival."""
    dead = set(decoded.dead["source_offset"].to_list())
    return [json.loads(line) for number, line in enumerate(lines) if number not in dead]


@pytest.fixture(scope="module")
def once(arrived) -> list[dict[str, Any]]:
    return list({event["event_id"]: event for event in arrived}.values())


def test_rows_copies_and_types(written, lines, arrived, once) -> None:
    truth = written[1]
    assert truth.rows == len(lines) == truth.events + truth.duplicates + sum(truth.broken.values())
    assert truth.events == len(once)
    assert truth.duplicates == len(arrived) - len(once) > 0
    assert truth.by_type == Counter(event["event_type"] for event in once)
    assert truth.unknown_types == sum(event["event_type"] not in EVENT_TYPES for event in once) > 0
    assert truth.unknown_fields == sum(bool(set(event) - set(BY_NAME)) for event in once) > 0


def test_copies_are_exact(lines, once) -> None:
    counts = Counter(lines)
    assert sum(count - 1 for count in counts.values()) >= sum(1 for count in counts.values() if count > 1) > 0
    assert len(counts) > len(once)


def test_disorder_and_lateness(written, arrived, settings) -> None:
    highest, behind = None, []
    for event in arrived:
        time = instant(event["event_time"])
        highest = time if highest is None else max(highest, time)
        behind.append(highest - time)
    truth = written[1]
    assert truth.out_of_order == sum(gap > 0 for gap in behind) > 0
    assert truth.late == sum(gap > settings.watermark_delay_ms for gap in behind) > 0


def test_money_to_the_last_unit(written, once) -> None:
    def total(kind: str, value: Any, statuses: tuple[str | None, ...] = (None,)) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        for event in once:
            if event["event_type"] == kind and (statuses == (None,) or event["payment_status"] in statuses):
                sums[event["currency"]] = sums.get(event["currency"], Decimal(0)) + value(event)
        return sums

    def off(event: dict[str, Any]) -> Decimal:
        return Decimal(str(event.get("discount", 0)))

    truth = written[1]
    assert truth.revenue == total("purchase", lambda e: Decimal(str(e["price"])) * e["quantity"] - off(e))
    assert truth.discounts == total("purchase", off)
    assert truth.paid == total("payment", lambda e: Decimal(str(e["amount"])), ("authorized", "captured"))
    assert truth.refunded == total("refund", lambda e: Decimal(str(e["amount"])))
    assert sum(truth.revenue.values()) > 0


def test_orders_payments_visits_and_times(written, once) -> None:
    truth = written[1]
    payments = [event for event in once if event["event_type"] == "payment"]
    times = [instant(event["event_time"]) for event in once]
    assert truth.orders == len({e["order_id"] for e in once if e["event_type"] == "purchase"})
    assert truth.payments == Counter(event["payment_status"] for event in payments)
    assert truth.visits == len({event["session_id"] for event in once if "session_id" in event})
    assert truth.bot_events == sum(event["anonymous_id"].startswith("b") for event in once)
    assert truth.searches_without_result == sum(e.get("properties") == {"results": 0} for e in once) > 0
    assert (truth.first_event_time, truth.last_event_time) == (min(times), max(times))


def test_the_written_truth_is_the_returned_one(written) -> None:
    folder, truth = written
    assert json.loads((folder / "truth.json").read_text()) == truth.to_json()


def test_disorder_stays_within_the_delay_but_for_late_rows(chunks, settings) -> None:
    rows = pl.concat([chunk.rows for chunk in chunks])
    delay = rows.select(delay=pl.col("arrival") - pl.col("event_time"), flaw="flaw")
    limit = settings.watermark_delay_ms
    beyond = delay.filter(pl.col("delay") > limit)
    assert delay["delay"].min() >= 0
    assert (beyond["delay"] > 1.5 * limit).all()
    assert 0 < beyond.height < 0.01 * rows.height
    assert delay.filter(pl.col("flaw") == 1)["delay"].max() <= 0.9 * limit
