"""Changes of an update stream as versions, and versions as columns of events."""

import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from ecompulse.kernels.decode import decode
from ecompulse.kernels.enrich.lookup import TYPES
from ecompulse.kernels.enrich.versions import change_mapping, merge_versions, to_versions, version_columns
from ecompulse.kernels.event import RAW_SCHEMA, TIME

AT = "2026-03-01T00:00:00Z"
LATER = 1_900_000_000_000


def versions(columns: dict[str, Any], *changes: dict[str, Any]) -> pl.DataFrame:
    lines = [json.dumps({"user_id": "u", "updated_at": AT, **change}).encode() for change in changes]
    place = {"source": "updates", "source_partition": 0, "source_offset": range(len(lines))}
    decoded = decode(pl.DataFrame({"raw": lines, **place}, schema=RAW_SCHEMA), LATER, change_mapping("user"))
    assert decoded.dead.is_empty()
    found = to_versions(decoded.events, "user", columns)
    assert found.schema == pl.Schema({**found.schema, **version_columns(columns, "user")})
    return found.select(list(version_columns(columns, "user")))


@pytest.mark.parametrize(
    "name", ["it's", 'a"b', "a.b", "a/b", "~1", "$", "0", "a]b", "größe", "two words", "\\", "^a$", "malformed"]
)
def test_a_column_may_have_any_name(name):
    assert versions({name: pl.String()}, {name: "x", "more": 1}, {"more": 1}).rows() == [("x", False), (None, False)]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", {5: 5, "7": 7, -(2**63): -(2**63)}, [5.5, 5.0, 2**63, "x", "", True, [1], {"a": 1}]),
        ("number", {0.5: 0.5, 2: 2.0, "1e3": 1000.0}, ["NaN", "inf", "-Infinity", "1e999", "x", False, [1]]),
        ("decimal", {12.5: Decimal("12.5000"), "0.00005": Decimal("0.0000")}, ["12,50", 10**14, "inf", {"a": 1}]),
        ("boolean", {"true": True, "FALSE": False, 1: True, "0": False}, ["no", 2, 1.0, ""]),
        ("text", {"a": "a", 7: "7", 1.5: "1.5", "": "", "[1]": "[1]"}, [["a"], {"a": "b"}]),
    ],
)
def test_what_does_not_fit_its_type_is_null_and_malformed(kind, good, bad):
    columns = {"v": TYPES[kind], "w": pl.String()}
    changes = [{"v": value, "w": "kept"} for value in (*good, *bad)]
    found = versions(columns, *changes, {"v": None, "w": "kept"}, {"w": "kept"})
    expected = [(value, "kept", False) for value in good.values()] + [(None, "kept", True)] * len(bad)
    assert found.rows() == [*expected, (None, "kept", False), (None, "kept", False)]


def test_booleans_of_json_are_booleans_and_texts():
    found = versions({"v": TYPES["boolean"], "w": TYPES["text"]}, {"v": True, "w": True}, {"v": False, "w": False})
    assert found.rows() == [(True, "true", False), (False, "false", False)]


def test_fields_of_the_event_are_read_alike():
    columns = {"price": pl.Int64(), "quantity": pl.Boolean(), "category": pl.Float64(), "brand": pl.Boolean()}
    good = {"price": 7, "quantity": 1, "category": "0.5", "brand": "TRUE"}
    bad = {"price": 7.5, "quantity": 7, "category": "NaN", "brand": "no"}
    found = versions(columns, good, *({**good, name: value} for name, value in bad.items()))
    wrong = [tuple(None if name == each else found.row(0)[at] for at, name in enumerate(columns)) for each in bad]
    assert found.rows() == [(7, True, 0.5, True, False), *((*row, True) for row in wrong)]


def test_days_and_times_of_a_look_up_s_columns():
    columns = {"day": pl.Date(), "at": TIME}
    good = {"day": "2026-03-01", "at": "2026-03-01T00:00:00Z"}
    found = versions(columns, good, {**good, "at": 0}, {"day": "today"}, {"at": "today"}, {"at": 10**18})
    assert found.select(pl.all().is_not_null()).rows()[:2] == [(True, True, True)] * 2
    assert found["version_malformed_user"].to_list() == [False, False, True, True, True]


def test_the_status_says_what_the_version_found_is():
    columns = {"tier": pl.String()}
    events = pl.DataFrame({"user_tier": ["looked up"] * 4, "user_status": ["ok"] * 4}).with_columns(
        pl.Series("version_user_tier", ["gold", None, "tin", None]),
        pl.Series("version_malformed_user", [False, True, None, None]),  # null: of a checkpoint that has no mark yet
        pl.lit(None, TIME).alias("user_version_at"),
        pl.Series("user_version_status", ["found", "found", "found", "no_version"]),
    )
    expected = [("gold", "version"), (None, "malformed"), ("tin", "version"), ("looked up", "ok")]
    assert merge_versions(events, "user", columns).rows() == expected


def test_without_a_look_up_the_status_says_why_there_is_no_version():
    events = pl.DataFrame({"user_status": ["off"] * 3, "user_version_status": ["found", "no_version", "no_key"]})
    events = events.with_columns(
        pl.lit(None, pl.Boolean).alias("version_malformed_user"), pl.lit(None, TIME).alias("user_version_at")
    )
    assert merge_versions(events, "user", {})["user_status"].to_list() == ["version", "not_found", "no_key"]
