"""The table of cases of cli.md, each a bad row among good ones."""

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.kernels.decode import Rule, decode, decode_json
from ecompulse.kernels.event import DEAD_LETTER_SCHEMA, FRAME_SCHEMA, KEPT_ROW_BYTES, RAW_SCHEMA
from ecompulse.kernels.mapping import parse_mapping

pytestmark = pytest.mark.usefixtures("few", "either_way")

NOW = 1_700_000_000_000
GOOD = {
    "event_id": "e1", "event_type": "purchase", "event_time": "2023-11-14T22:00:00Z", "user_id": "u1",
    "price": 10.5, "quantity": 2, "currency": "EUR",
}  # fmt: skip


def frame(rows: list[bytes | None]) -> pl.DataFrame:
    columns = {"raw": rows, "source": "f", "source_partition": 3, "source_offset": range(100, 100 + len(rows))}
    return pl.DataFrame(columns, schema=RAW_SCHEMA)


def good(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def text(row: str) -> bytes:
    """A good row with some JSON text put in before its end."""
    return json.dumps(GOOD)[:-1].encode() + b"," + row.encode() + b"}"


def only(row: bytes) -> dict[str, object]:
    decoded = decode_json(frame([row]), NOW)
    assert decoded.dead.is_empty(), decoded.dead["message"][0]
    return decoded.events.row(0, named=True)


TRAILING = "Illegal trailing comma" if sys.version_info >= (3, 13) else ""  # the json module's words

CUT_OFF = [b'{"a": "' + b"x" * shift + character.encode() * 99 for character in "é€😀" for shift in range(4)]
"""Lines that end too early: of some, DuckDB's error quotes a part that ends within a character."""

CASES = [
    *((Rule.BROKEN_JSON, row, "Unterminated string") for row in CUT_OFF),
    (Rule.BROKEN_JSON, b"{", "Expecting"),
    (Rule.BROKEN_JSON, b"", "Expecting value"),
    (Rule.BROKEN_JSON, b"\xef\xbb\xbf" + good(), "Expecting value"),
    (Rule.BROKEN_JSON, good()[:-1] + b",}", TRAILING or "property name"),
    (Rule.BROKEN_JSON, text('"properties":{"a":[1,]}'), TRAILING or "Expecting value"),
    (Rule.BROKEN_JSON, good() + b"x", "Extra data"),
    (Rule.BROKEN_JSON, text('"price":01'), "delimiter"),
    (Rule.BROKEN_JSON, text('"price":nan'), "Expecting value"),
    (Rule.BROKEN_JSON, text('"brand":"\\ud800"'), "surrogate"),
    (Rule.BROKEN_JSON, text('"x":' + "[" * 100 + "]" * 100), "nested deeper than 100"),
    (Rule.BROKEN_JSON, b"[" * 500_000, "nested deeper than 100"),
    (Rule.NOT_AN_OBJECT, b"[1]", "[1] is not an object"),
    (Rule.NOT_AN_OBJECT, b"null", "null"),
    (Rule.NOT_AN_OBJECT, b'"x"', '"x"'),
    (Rule.INVALID_UTF8, good()[:-2] + b'\xff"}', "is not UTF-8"),
    (Rule.MISSING_REQUIRED, b"{}", "event_id is missing"),
    (Rule.MISSING_REQUIRED, good(event_id=None), "event_id is missing"),
    (Rule.MISSING_REQUIRED, good(event_type=""), "event_type is empty"),
    (Rule.MISSING_REQUIRED, good(user_id=None), "user_id and anonymous_id are both missing"),
    (Rule.MISSING_REQUIRED, good(user_id=""), "user_id and anonymous_id are both missing"),
    (Rule.WRONG_TYPE, good(price="10.5"), 'price: "10.5" is text, not a number'),
    (Rule.WRONG_TYPE, good(price=[1]), "price: [1] is not a number"),
    (Rule.WRONG_TYPE, good(price=True), "price: true is not a number"),
    (Rule.WRONG_TYPE, good(quantity=2.5), "quantity: 2.5 is not an integer"),
    (Rule.WRONG_TYPE, good(user_id=7), "user_id: 7 is not text"),
    (Rule.WRONG_TYPE, good(properties="x"), 'properties: "x" is not an object'),
    (Rule.WRONG_TYPE, good(properties=[]), "properties: [] is not an object"),
    (Rule.WRONG_TYPE, good(event_time="2023-11-14T22:00:00"), "has no zone"),
    (Rule.WRONG_TYPE, good(event_time="2023-11-31T22:00:00Z"), "is no time: day"),
    (Rule.WRONG_TYPE, good(event_time="1700000000000"), "neither an ISO 8601 time"),
    (Rule.NOT_FINITE, good(price=float("nan")), "price: nan is not a finite number"),
    (Rule.NOT_FINITE, good(price=float("inf")), "price: inf is not"),
    (Rule.NOT_FINITE, good(properties={"a": {"b": float("-inf")}}), "properties: -inf"),
    (Rule.OUT_OF_RANGE, good(price=10**14), "does not fit decimal(18,4)"),
    (Rule.OUT_OF_RANGE, text('"tax":99999999999999.99996'), "tax: 99999999999999.99996 does not fit"),
    (Rule.OUT_OF_RANGE, good(quantity=2**63), "quantity: 9223372036854775808 does not fit 64 bits"),
    (Rule.OUT_OF_RANGE, text('"properties":{"x":1e400}'), "properties: 1e400 does not fit a double"),
    (Rule.OUT_OF_RANGE, text('"properties":{"x":[-' + "1" * 310 + "]}"), "does not fit a double"),
    (Rule.OUT_OF_RANGE, text('"x":' + "9" * 309), "x: 99999"),
    (Rule.DUPLICATE_KEY, text('"brand":"a","brand":"a"'), 'key "brand" is given twice'),
    (Rule.DUPLICATE_KEY, text('"brand":null,"\\u0062rand":null'), 'key "brand" is given twice'),
    (Rule.DUPLICATE_KEY, text('"properties":{"a":{"b":1,"b":1}}'), 'properties: key "b" is given twice'),
    (Rule.DUPLICATE_KEY, good(x=1, properties={"x": 1}), "unknown field x is in properties too"),
    (Rule.EVENT_TIME_IN_FUTURE, good(event_time=NOW + 300_001), "is more than 5 minutes after now"),
    (Rule.EVENT_TIME_TOO_OLD, good(event_time="1989-12-31T23:59:59.999Z"), "is before 1990"),
    (Rule.FIELD_TOO_LARGE, good(url="u" * 65_537), "url: "),
    (Rule.FIELD_TOO_LARGE, good(url="é" * 32_769), "has 65538 bytes"),
    (Rule.FIELD_TOO_LARGE, good(x="u" * 65_536), "properties: "),
    (Rule.ROW_TOO_LARGE, good(x="u" * 2**20), "more than 1048576"),
]  # fmt: skip


def kept(rule, row):
    return row[:KEPT_ROW_BYTES] if rule == Rule.ROW_TOO_LARGE else row


@pytest.mark.parametrize(("rule", "row", "message"), CASES, ids=[f"{rule}-{i}" for i, (rule, _, _) in enumerate(CASES)])
def test_a_bad_row_among_good_ones_is_one_dead_letter(rule, row, message):
    decoded = decode_json(frame([good(event_id="a"), row, good(event_id="b")]), NOW)
    assert decoded.events["event_id"].to_list() == ["a", "b"]
    assert decoded.events["source_offset"].to_list() == [100, 102]
    letter = decoded.dead.row(0, named=True)
    assert decoded.dead.schema == DEAD_LETTER_SCHEMA
    assert letter["rule"] == rule
    assert message in letter["message"]
    assert len(letter["message"]) < 250
    assert (letter["raw"], letter["source"], letter["source_partition"], letter["source_offset"]) == (
        kept(rule, row),
        "f",
        3,
        101,
    )
    assert letter["seen_at"] == datetime.fromtimestamp(NOW / 1000, UTC)


def test_every_rule_but_that_of_csv_is_met_above():
    others = {Rule.BROKEN_CSV, Rule.UNREADABLE_FILE, Rule.BROKEN_PAYLOAD, Rule.NO_EVENT}
    assert {rule for rule, _, _ in CASES} == set(Rule) - others
    assert all(rule.help for rule in Rule)


def test_all_cases_at_once():
    rows = [row for _, row, _ in CASES]
    decoded = decode(frame([value for row in rows for value in (good(), row)]), NOW)
    assert decoded.events.height == len(CASES)
    assert decoded.dead["rule"].to_list() == [rule for rule, _, _ in CASES]
    assert decoded.dead["raw"].to_list() == [kept(rule, row) for rule, row, _ in CASES]


@pytest.mark.parametrize(
    ("field", "written", "value"),
    [
        ("price", "1.23455", Decimal("1.2346")),
        ("price", "1.23445", Decimal("1.2344")),
        ("price", "1.234450000000000000000000001", Decimal("1.2345")),
        ("price", "35.790000000000006", Decimal("35.7900")),
        ("price", "12345678901234.5678", Decimal("12345678901234.5678")),
        ("price", "1e3", Decimal("1000.0000")),
        ("price", "1e-9999999999999999999999", Decimal("0.0000")),
        ("price", "-0", Decimal("0.0000")),
        ("quantity", "2.0", 2),
        ("quantity", "2e0", 2),
        ("quantity", "-9223372036854775808", -(2**63)),
        ("event_time", "1700000000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("event_time", '"2023-11-14T22:00:00.123999999Z"', datetime(2023, 11, 14, 22, 0, 0, 123_000, UTC)),
        ("event_time", '"2023-11-14 23:00:00+0200"', datetime(2023, 11, 14, 21, tzinfo=UTC)),
        ("event_time", '"2023-11-14T19:00-02:30"', datetime(2023, 11, 14, 21, 30, tzinfo=UTC)),
        ("event_type", '"teleport"', "teleport"),
        ("brand", '"a\\/b \\"c\\" \\u00e9\\ud83d\\ude00"', 'a/b "c" é😀'),
        ("brand", '""', ""),
        ("anonymous_id", '""', None),
        ("properties", "{}", "{}"),
        ("properties", '{"b":1.50,"a":[{"z":1,"y":2}],"c":null}', '{"a":[{"y":2,"z":1}],"b":1.5,"c":null}'),
        ("properties", '{"a":[12345678901234567890123]}', '{"a":[12345678901234567890123]}'),
        ("properties", '{"x":1e-7,"y":0.00001,"z":-0.0,"a":1E5}', '{"a":100000.0,"x":1e-07,"y":1e-05,"z":-0.0}'),
    ],
)  # fmt: skip
def test_values(field, written, value):
    members = json.dumps({key: item for key, item in GOOD.items() if key != field})[:-1]
    assert only(f'{members},"{field}":{written}}}'.encode())[field] == value


def test_unknown_fields_and_properties_become_one_object():
    event = only(good(zone="b", Price=1, properties={"a": True, "é": "x\n"}, nothing=None))
    assert event["properties"] == '{"Price":1,"a":true,"zone":"b","é":"x\\n"}'
    assert event["price"] == Decimal("10.5000")


def test_more_kinds_of_keys_than_there_may_be_columns():
    rows = [good(event_id=f"e{n}", **{f"key{n}": n}, properties={f"own{n}": n}) for n in range(450)]
    decoded = decode_json(frame(rows), NOW)
    assert decoded.events["properties"].to_list() == [f'{{"key{n}":{n},"own{n}":{n}}}' for n in range(450)]


def test_a_row_of_no_bytes_at_all_is_dead_and_keeps_its_null():
    decoded = decode_json(frame([None, good()]), NOW)
    assert decoded.events.height == 1
    assert decoded.dead.select("raw", "rule").rows() == [(None, "broken_json")]


def test_the_time_of_a_dead_row_is_given_where_it_can_be_read():
    rows = [good(price="x"), b"{", good(event_time="2099-01-01T00:00:00Z"), good(event_time=[])]
    assert decode_json(frame(rows), NOW).dead_times.to_list() == [
        datetime(2023, 11, 14, 22, tzinfo=UTC),
        None,
        None,
        None,
    ]


def test_no_rows():
    decoded = decode_json(frame([]), NOW)
    assert (decoded.events.schema, decoded.dead.schema) == (FRAME_SCHEMA, DEAD_LETTER_SCHEMA)
    assert (decoded.events.height, decoded.dead.height, decoded.dead_times.len()) == (0, 0, 0)


@pytest.mark.parametrize("value", ["1", "NaN", "1e999", '{"a":1,"a":2}', "12345678901234567890123", '"x"', "null"])
def test_a_column_that_is_dropped_must_be_json_whatever_the_size_of_the_batch(value):
    mapping = parse_mapping("drop: [secret]")
    row = text(f'"secret":{value}')
    alone, among = (decode_json(frame([row, *[good()] * others]), NOW, mapping) for others in (0, 100))
    assert among.dead["rule"].to_list() == alone.dead["rule"].to_list()
    assert among.events.height + among.dead.height == 101
