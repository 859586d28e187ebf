"""Decoding JSON equals the plainest reading of each row: json, Decimal and datetime, nothing of ours."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import Decoded, decode_json
from ecompulse.kernels.decode.assemble import assemble
from ecompulse.kernels.decode.json_rows import json_batch
from ecompulse.kernels.decode.plan import plan_for
from ecompulse.kernels.event import FIELDS, FRAME_SCHEMA, RAW_SCHEMA, Kind
from support.examples import examples
from support.json_rows import json_rows

pytestmark = pytest.mark.usefixtures("either_way")

NOW = 1_700_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CONTEXT = Context(prec=60)
KINDS = {field.name: field.kind for field in FIELDS}
REQUIRED = [field.name for field in FIELDS if field.required]


ISO = r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:(?<=:\d\d:\d\d)\.(\d{1,9}))?(Z|[+-]\d\d(?::?\d\d)?)"


class Number(str):
    """A JSON number as written."""

    __slots__ = ()


class Bad(Exception):  # noqa: N818  # a verdict
    pass


def frame(rows: list[bytes]) -> pl.DataFrame:
    columns = {"raw": rows, "source": "t", "source_partition": 0, "source_offset": range(len(rows))}
    return pl.DataFrame(columns, schema=RAW_SCHEMA)


def number(literal: str) -> Any:
    return Number(literal)


def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in items}) < len(items):
        raise Bad("duplicate_key")
    return dict(items)


def plain(value: Any) -> Any:
    """Numbers as Python's json reads them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return json.loads(value) if isinstance(value, Number) else value


def finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(finite, value.values() if isinstance(value, dict) else value))
    return not (isinstance(value, Number) and abs(float(value)) == float("inf"))


def constant(name: str) -> Any:
    raise Bad("not_finite")


def iso(text: str) -> int:
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:(?<=:\d\d:\d\d)\.(\d{1,9}))?([Zz]|[+-]\d\d(?::?\d\d)?)", text
    )
    if not found or not text.isascii():
        raise Bad("wrong_type")
    day, clock, fraction, zone = found.groups()
    inserted = clock.endswith(":60") and len(clock) == len("00:00:60")
    clock = clock[:-2] + "59" if inserted else clock
    zone = "+00:00" if zone in "Zz" else (zone + ":00" if len(zone) == 3 else zone)
    if ":" not in zone:
        zone = zone[:3] + ":" + zone[3:]
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone}")
    except ValueError:
        raise Bad("wrong_type") from None
    return (moment - EPOCH) // timedelta(milliseconds=1) + 1000 * inserted + int((fraction or "0").ljust(3, "0")[:3])


def integer(value: Any) -> int:
    if not isinstance(value, Number):
        raise Bad("wrong_type")
    got = json.loads(value)
    if got != int(got):
        raise Bad("wrong_type")
    return int(got)


def time(value: Any) -> datetime:
    ms = iso(value) if isinstance(value, str) and not isinstance(value, Number) else integer(value)
    if ms > NOW + 300_000:
        raise Bad("event_time_in_future")
    if ms < 631_152_000_000:
        raise Bad("event_time_too_old")
    return EPOCH + timedelta(milliseconds=ms)


def money(value: Any) -> Decimal:
    if not isinstance(value, Number):
        raise Bad("wrong_type")
    amount = Decimal(value)
    if amount and amount.adjusted() > 20:
        raise Bad("out_of_range")
    amount = amount.quantize(Decimal("0.0001"), ROUND_HALF_EVEN, CONTEXT)
    if abs(amount) >= 10**14:
        raise Bad("out_of_range")
    return amount


def int64(value: Any) -> int:
    if not -(2**63) <= integer(value) < 2**63:
        raise Bad("out_of_range")
    return integer(value)


def words(value: Any) -> str:
    if not isinstance(value, str) or isinstance(value, Number):
        raise Bad("wrong_type")
    return value


READ = {Kind.TEXT: words, Kind.TIME: time, Kind.INTEGER: int64, Kind.MONEY: money}


def parsed(raw: bytes) -> dict[str, Any]:
    """The object of a row without its nulls, numbers as written."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Bad("invalid_utf8") from None
    options = {"parse_float": number, "parse_int": number, "parse_constant": number}
    try:
        loose = json.loads(text.strip(" \t\r\n"), **options)
        json.dumps(loose, ensure_ascii=False).encode()
    except ValueError:
        raise Bad("broken_json") from None
    if not isinstance(loose, dict):
        raise Bad("not_an_object")
    json.loads(text, object_pairs_hook=pairs, parse_int=number)
    row = json.loads(text, **{**options, "parse_constant": constant})
    if not finite(row):
        raise Bad("out_of_range")
    return {key: value for key, value in row.items() if value is not None}


def oracle(raw: bytes) -> dict[str, Any]:
    """The values of a row, or Bad with the rule."""
    row = parsed(raw)
    values = {}
    for name in KINDS:
        if name in REQUIRED and row.get(name) in (None, ""):
            raise Bad("missing_required")
        if name != "properties":
            values[name] = READ[KINDS[name]](row[name]) if name in row else None
    for name in ("user_id", "anonymous_id"):
        values[name] = values[name] or None
    if values["currency"] and re.fullmatch("[A-Za-z]{3}", values["currency"]):
        values["currency"] = values["currency"].upper()
    if values["user_id"] is None and values["anonymous_id"] is None:
        raise Bad("missing_required")
    inner = row.get("properties", {})
    if not isinstance(inner, dict):
        raise Bad("wrong_type")
    unknown = {key: value for key, value in row.items() if key not in KINDS}
    if inner.keys() & unknown.keys():
        raise Bad("duplicate_key")
    merged = json.dumps(plain({**inner, **unknown}), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    values["properties"] = merged if "properties" in row or unknown else None
    return values


def expected(rows: list[bytes]) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    good, bad = [], []
    for offset, raw in enumerate(rows):
        try:
            good.append({**oracle(raw), "source": "t", "source_partition": 0, "source_offset": offset})
        except Bad as verdict:
            bad.append((offset, str(verdict)))
    return good, bad


def found(decoded: Decoded) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    assert decoded.events.schema == FRAME_SCHEMA
    return decoded.events.to_dicts(), decoded.dead.select("source_offset", "rule").rows()


def by_columns(rows: list[bytes]) -> Decoded:
    """As batches of many rows are decoded."""
    plan = plan_for(None, NOW, typed=True)
    return assemble(json_batch(frame(rows), plan), plan)


def one_by_one(rows: list[bytes]) -> Decoded:
    """Every row by the exact way, no columns trusted."""
    plan = plan_for(None, NOW, typed=True)
    batch = json_batch(frame(rows), plan)
    everything = pl.repeat(value=True, n=len(rows), eager=True)
    return assemble(replace(batch, suspects=everything), plan)


@examples(80)
@given(st.lists(json_rows() | st.binary(max_size=20), min_size=1, max_size=12))
def test_equals_the_plain_reading_row_by_row(rows):
    decoded = by_columns(rows)
    assert found(decoded) == expected(rows)
    assert found(decode_json(frame(rows), NOW)) == expected(rows)
    exact = one_by_one(rows)
    assert exact.events.equals(decoded.events)
    assert exact.dead.equals(decoded.dead)
    assert exact.dead_times.equals(decoded.dead_times)


@examples(40)
@given(st.data())
def test_fuzzed_bytes_never_raise_and_none_is_lost(data):
    rows = [bytearray(raw) for raw in data.draw(st.lists(json_rows(), min_size=1, max_size=8))]
    for raw in rows:
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at : at + data.draw(st.integers(0, 1))] = data.draw(
                st.binary(max_size=2) | st.sampled_from([b",", b'"', b"}", b"\\"])
            )
    whole = [bytes(raw) for raw in rows]
    decoded = by_columns(whole)
    assert decoded.events.height + decoded.dead.height == len(rows)
    assert found(decoded) == expected(whole)
