"""First mappings: what is guessed of names and values, and what is left to look at."""

from typing import Any

import pytest
import yaml

from ecompulse.kernels.foreign.draft import draft
from ecompulse.kernels.mapping import parse_mapping


def drafted(*rows: dict[str, Any]) -> tuple[dict[str, Any], str]:
    text = draft(rows, {})
    parse_mapping(text)
    return yaml.safe_load(text), text


def test_keys_without_a_name_are_kept_as_they_are():
    found, text = drafted({"": 1, " ": 2, "ид": 3, "userid": "u"})
    assert found["fields"] == {"user_id": "userid"}
    assert "Kept in properties" in text


@pytest.mark.parametrize(
    ("texts", "layout"),
    [
        (["2024-05-13", "2024-05-01"], "%Y-%m-%d"),
        (["13.05.2024"], "%d.%m.%Y"),
        (["05/13/2024", "05/01/2024"], "%m/%d/%Y"),
        (["20240513"], "%Y%m%d"),
        (["20240513100000"], "%Y%m%d%H%M%S"),
        (["1714557600"], None),
        (["1714557600000"], None),
        (["17145576"], None),
    ],
)
def test_formats_of_time_are_guessed(texts, layout):
    found, text = drafted(*({"user": "u", "ts": when, "n": n} for n, when in enumerate(texts)))
    assert found["time"] == ({"unit": "auto"} if layout is None else {"format": layout, "zone": "UTC"})
    assert "read all of these rows" not in text


def test_day_and_month_may_be_either():
    found, text = drafted({"user": "u", "ts": "05/06/2024 12:00"})
    assert found["time"]["format"] == "%d/%m/%Y %H:%M"
    assert "# Check time: %d/%m/%Y %H:%M and %m/%d/%Y %H:%M read all of these rows" in text


def test_what_several_rows_share_is_no_id_of_an_event():
    line = {"order_id": 1, "date": "2024-05-01T10:00:00Z", "customer": "c"}
    found, _ = drafted({**line, "sku": "a"}, {**line, "sku": "b"})
    assert (found["event_id"], found["fields"]["order_id"]) == ("hash", "order_id")
    found, _ = drafted({**line, "sku": "a"}, {**line, "sku": "a"}, {**line, "order_id": 2, "sku": "a"})
    assert found["fields"]["event_id"] == "order_id"


def test_the_id_of_an_object_is_none_of_the_event():
    found, _ = drafted({"customer": {"id": "c"}, "event": {"id": "e"}, "when": "2024-05-01T10:00:00Z"})
    assert found["fields"] == {"event_id": "event.id", "user_id": "customer.id", "event_time": "when"}
    found, _ = drafted({"customer.id": "c", "ts": "2024-05-01T10:00:00Z"})
    assert (found["event_id"], found["fields"]["user_id"]) == ("hash", "customer.id")
