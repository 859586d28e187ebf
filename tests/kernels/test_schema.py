"""The published JSON Schema and decoding say the same of the same rows."""

import json
import re
from typing import Any

import polars as pl
import pytest

from ecompulse.kernels.decode import Rule, decode_json
from ecompulse.kernels.event import FIELDS, RAW_SCHEMA
from ecompulse.kernels.schema import json_schema

NOW = 1_700_000_000_000
GOOD: dict[str, Any] = {"event_id": "e", "event_type": "purchase", "event_time": "2023-11-14T22:00:00Z", "user_id": "u"}
ANNOTATIONS = {"$schema", "title", "description", "examples"}
TYPES = {
    "string": lambda v: isinstance(v, str),
    "object": lambda v: isinstance(v, dict),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: not isinstance(v, bool) and isinstance(v, int | float) and v == int(v),
}


def valid(schema: dict[str, Any], value: Any) -> bool:
    """As much of JSON Schema as ours uses; a keyword that is not here fails the test."""
    return all(holds(key, limit, value, schema) for key, limit in schema.items())


def holds(key: str, limit: Any, value: Any, schema: dict[str, Any]) -> bool:  # noqa: PLR0911, PLR0912, C901  # a table
    if key in ANNOTATIONS or key.startswith("x-"):
        return True
    number, text, fields = TYPES["number"](value), isinstance(value, str), isinstance(value, dict)
    match key:
        case "type":
            return any(TYPES[name](value) for name in ([limit] if isinstance(limit, str) else limit))
        case "anyOf":
            return any(valid(option, value) for option in limit)
        case "properties":
            return not fields or all(valid(limit[name], value[name]) for name in limit if name in value)
        case "required":
            return not fields or all(name in value for name in limit)
        case "additionalProperties":
            return limit is True
        case "minLength":
            return not text or len(value) >= limit
        case "maxLength":
            return not text or len(value) <= limit
        case "pattern":
            return not text or bool(re.search(limit, value))
        case "minimum":
            return not number or value >= limit
        case "maximum":
            return not number or value <= limit
        case "exclusiveMinimum":
            return not number or value > limit
        case "exclusiveMaximum":
            return not number or value < limit
    raise AssertionError(f"keyword {key} is not known here")


def accepted(row: dict[str, Any]) -> bool:
    frame = pl.DataFrame(
        {"raw": [json.dumps(row).encode()], "source": "t", "source_partition": 0, "source_offset": 0}, schema=RAW_SCHEMA
    )
    return decode_json(frame, NOW).events.height == 1


ODD: list[Any] = [
    "",
    "x",
    0,
    2.0,
    2.5,
    -7,
    True,
    None,
    [],
    {},
    {"a": 1},
    10**14,
    10**14 - 1,
    2**63,
    -(2**63),
    1_690_000_000_000,
    "x" * 65_536,
    "x" * 65_537,
]
TIMES: list[Any] = [
    "2023-01-01T00:00:00Z", "2023-01-01 00:00+0200", "2023-01-01T00:00:00", "2023-01-01", "2023-01-01T25:00:00Z",
    "2023-13-01T00:00:00Z",     "2023-01-01T00:00:00.1234567890Z", "2023-01-01T00:00:60Z",
    631_151_999_999, 631_152_000_000, 631_152_000_000.0, "1690000000000",
]  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in FIELDS])
def test_schema_and_decoding_agree_on_odd_values_of_every_field(field):
    schema = json_schema()
    # That a time lies in the future is for no schema to know.
    odd = [*ODD, *TIMES] if field == "event_time" else ODD
    rows = [{**GOOD, field: v} for v in odd if field != "event_time" or not TYPES["number"](v) or v <= NOW]
    rows += [{key: value for key, value in GOOD.items() if key != field}]
    assert [valid(schema, row) for row in rows] == [accepted(row) for row in rows]


def test_identities_and_unknown_fields():
    schema = json_schema()
    without = {key: value for key, value in GOOD.items() if key != "user_id"}
    rows = [
        without,
        {**without, "anonymous_id": "a"},
        {**GOOD, "user_id": ""},
        {**GOOD, "new": [1]},
        {**without, "user_id": None},
    ]
    assert [valid(schema, row) for row in rows] == [accepted(row) for row in rows] == [False, True, False, True, False]


def test_it_is_plain_json_and_publishes_the_rules():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert list(schema["properties"]) == [field.name for field in FIELDS]
    assert schema["x-dead-letter-rules"] == {rule.value: rule.help for rule in Rule}
