"""First mappings: what is guessed of names and values, and what is left to look at."""

from typing import Any

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
