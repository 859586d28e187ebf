"""Avro in columns equals fastavro one message at a time; what is broken costs itself only."""

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import fastavro
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.io.payloads.avro import AvroSchema, BrokenMessage
from ecompulse.kernels.decode.batch import all_of
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.properties import join_objects
from ecompulse.kernels.decode.routing import json_text
from ecompulse.kernels.decode.typed_text import text_of
from support.avro import written
from support.examples import examples

ENUM = {"type": "enum", "name": "Kind", "symbols": ["VIEW", "BUY"]}
LINE = {
    "type": "record",
    "name": "Line",
    "fields": [{"name": "sku", "type": "string"}, {"name": "kind", "type": "Kind"}],
}
TYPES = {
    "text": ("string", st.text(max_size=5)),
    "number": ("long", st.integers(-(2**63), 2**63 - 1)),
    "small": ("int", st.integers(-(2**31), 2**31 - 1)),
    "real": ("double", st.floats(allow_nan=False)),
    "flag": ("boolean", st.booleans()),
    "kind": (ENUM, st.sampled_from(ENUM["symbols"])),
    "again": (["null", "Kind"], st.none() | st.sampled_from(ENUM["symbols"])),
    "maybe": (["null", "string"], st.none() | st.text(max_size=3)),
    "late": (["long", "null"], st.none() | st.integers(0, 9)),
    "price": ({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2},
              st.decimals(-(10**9), 10**9, places=2)),
    "at": ({"type": "long", "logicalType": "timestamp-millis"},
           st.integers(0, 2 * 10**12).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC).replace(microsecond=0))),
    "day": ({"type": "int", "logicalType": "date"}, st.dates(date(1970, 1, 1), date(2100, 1, 1))),
    "lines": ({"type": "array", "items": LINE},
              st.lists(st.fixed_dictionaries({"sku": st.text(max_size=2), "kind": st.sampled_from(ENUM["symbols"])}),
                       max_size=3)),
    "float": ("float", st.floats(allow_nan=False, allow_infinity=False, width=32)),
    "uuid": ({"type": "string", "logicalType": "uuid"}, st.uuids().map(str)),
    "clock": ({"type": "long", "logicalType": "time-micros"}, st.times()),
    "bytes": ("bytes", st.text(max_size=3).map(str.encode)),
    "kinds": ({"type": "map", "values": "Kind"},
              st.dictionaries(st.text(max_size=2), st.sampled_from(ENUM["symbols"]), max_size=2)),
    "map": ({"type": "map", "values": "long"}, st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=3)),
    "inner": (["null", {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": ["null", "double"]}]}],
              st.none() | st.fixed_dictionaries({"x": st.none() | st.floats(allow_nan=False)})),
}  # fmt: skip
SCHEMA = {"type": "record", "name": "E", "namespace": "shop",
          "fields": [{"name": name, "type": kind} for name, (kind, _) in TYPES.items()]}  # fmt: skip
record = st.fixed_dictionaries({name: values for name, (_, values) in TYPES.items()})


def pairs(row):
    """A map as columns have it."""
    maps = {name: [{"key": key, "value": value} for key, value in row[name].items()] for name in ("map", "kinds")}
    return row | maps


def as_json(columns):
    """Rows of columns as decoding has them."""
    texts = {}
    for name in columns.columns:
        text, quoted = text_of(columns[name])
        texts[name] = json_text(Cells(text, all_of(quoted, columns.height)))
    return join_objects(texts, has=all_of(value=True, height=columns.height)).cast(pl.Binary).to_list()


@examples(60)
@given(st.lists(record, min_size=1, max_size=5))
def test_columns_are_what_fastavro_reads(records):
    schema = AvroSchema(json.dumps(SCHEMA), {})
    bodies = written(SCHEMA, *records)
    columns = schema.read(bodies)
    assert columns is not None
    assert columns.to_dicts() == [schema.read_one(body) for body in bodies] == [pairs(each) for each in records]
    lines = schema._lines([schema.read_one(body) for body in bodies])
    assert lines == as_json(columns)


SIMPLE = {"type": "record", "name": "E", "fields": [{"name": "a", "type": "string"}, {"name": "n", "type": "long"}]}


@examples(60)
@given(st.lists(st.text(max_size=4), min_size=2, max_size=6), st.data())
def test_a_batch_with_a_broken_message_is_no_batch(texts, data):
    schema = AvroSchema(json.dumps(SIMPLE), {})
    bodies = written(SIMPLE, *({"a": text, "n": 7} for text in texts))
    place = data.draw(st.integers(0, len(bodies) - 1))
    change = data.draw(st.sampled_from([lambda body: body[:-1], lambda body: body + b"\0", lambda _: b""]))
    bodies[place] = change(bodies[place])
    assert schema.read(bodies) is None
    for at, body in enumerate(bodies):
        if at == place:
            with pytest.raises(BrokenMessage):
                schema.read_one(body)
        else:
            assert schema.read_one(body) == {"a": texts[at], "n": 7}


def test_types_of_other_schemas_are_put_where_they_are_used():
    named = {"shop.Money": {"type": "record", "name": "Money", "namespace": "shop",
                            "fields": [{"name": "amount", "type": "long"}]}}  # fmt: skip
    schema = {"type": "record", "name": "E", "namespace": "shop",
              "fields": [{"name": "a", "type": "Money"}, {"name": "b", "type": ["null", "shop.Money"]}]}  # fmt: skip
    read = AvroSchema(json.dumps(schema), named)
    [body] = written(read.parsed, {"a": {"amount": 1}, "b": {"amount": 2}})
    assert read.read([body]).to_dicts() == [{"a": {"amount": 1}, "b": {"amount": 2}}]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "record", "name": "T", "fields": [{"name": "c", "type": ["null", "T"]}]}, {"c": {"c": None}}),
        ("string", "text"),
    ],
)
def test_what_is_no_columns_is_read_one_by_one(schema, value):
    read = AvroSchema(json.dumps(schema), {})
    [body] = _one(schema, value)
    assert read.read([body]) is None
    assert read.read_one(body) == value


def _one(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return [out.getvalue()]


def test_decimals_keep_their_type():
    schema = {"type": "record", "name": "E", "fields": [{"name": "p", "type": TYPES["price"][0]}]}
    columns = AvroSchema(json.dumps(schema), {}).read(written(schema, {"p": Decimal("1.50")}))
    assert columns.schema == {"p": pl.Decimal(18, 2)}


WIDE = {"type": "record", "name": "E", "fields": [
    {"name": "a", "type": "string"},
    {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}},
    {"name": "k", "type": ENUM},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
]}  # fmt: skip
NARROW = {**WIDE, "fields": [WIDE["fields"][0], {"name": "d", "type": "bytes"}, {"name": "k", "type": "int"},
                             {"name": "day", "type": "int"}]}  # fmt: skip
WHOLE, OTHERS = {"a": "x", "d": b"\x00\x96", "k": 1, "day": 19_000}, (
    {"d": b"\x00" * 15 + b"\x00\x96"}, {"k": 2}, {"day": 10_000_000}, {"a": "\ufffd"},
)  # fmt: skip


@examples(60)
@given(st.lists(st.sampled_from([*range(len(OTHERS)), "whole", "cut", "more", "none"]), min_size=1, max_size=8))
def test_a_message_comes_out_the_same_whatever_is_read_with_it(kinds):
    """A decimal that is longer than columns take, a number of no symbol, a day beyond Python's, and broken ones."""
    [whole] = written(NARROW, WHOLE)
    odd = written(NARROW, *({**WHOLE, **each} for each in OTHERS))
    broken = {"whole": whole, "cut": whole[:-1], "more": whole + b"\0", "none": b""}
    bodies = [odd[kind] if isinstance(kind, int) else broken[kind] for kind in kinds]
    together = outcomes(bodies)
    assert together == [outcomes([body])[0] for body in bodies]
    assert {kind: together[kinds.index(kind)][0] for kind in kinds} == {
        kind: "broken" if kind in {1, "cut", "more", "none"} else "line" if kind == 0 else "columns" for kind in kinds
    }


def outcomes(bodies):
    """How each message comes out, and as what."""
    found = AvroSchema(json.dumps(WIDE), {}).messages(bodies)
    columns = pl.DataFrame() if found.columns is None else found.columns.with_columns(pl.col("day").to_physical())
    made = dict(zip(found.places, columns.to_dicts(), strict=True))
    ways = {"columns": made, "line": found.lines, "broken": found.broken}
    return [next((way, told[place]) for way, told in ways.items() if place in told) for place in range(len(bodies))]


def test_two_types_of_one_name_in_two_namespaces_stay_two():
    def money(space, *fields: str):
        members = [{"name": name, "type": "long"} for name in fields]
        return {"type": "record", "name": "Money", "namespace": space, "fields": members}

    def status(space, *symbols: str):
        return {"type": "enum", "name": f"{space}.Status", "symbols": symbols}

    fields = {"a": money("pay", "net", "gross"), "b": money("ship", "gross", "net"), "c": "pay.Money",
              "d": status("pay", "NEW", "PAID"), "e": status("ship", "OPEN", "SENT"), "f": "pay.Status"}  # fmt: skip
    schema = {"type": "record", "name": "E", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}
    sums = {"net": 5, "gross": 6}
    value = {"a": sums, "b": sums, "c": sums, "d": "NEW", "e": "OPEN", "f": "PAID"}
    assert AvroSchema(json.dumps(schema), {}).read(written(schema, value)).to_dicts() == [value]


def test_a_name_without_namespace_is_of_the_type_around_it():
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "kind", "type": ENUM}]}
    schema = {"type": "record", "name": "E", "namespace": "a.b", "fields": [
        {"name": "first", "type": inner}, {"name": "second", "type": "Inner"}, {"name": "third", "type": "a.b.Kind"},
    ]}  # fmt: skip
    value = {"first": {"kind": "BUY"}, "second": {"kind": "VIEW"}, "third": "BUY"}
    assert AvroSchema(json.dumps(schema), {}).read(written(schema, value)).to_dicts() == [value]


def test_a_type_inside_another_schema_is_known_by_its_name():
    line = {"type": "record", "name": "Line", "fields": [{"name": "sku", "type": "string"}]}
    order = {"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "line", "type": line}]}
    schema = {"type": "record", "name": "E", "namespace": "other", "fields": [
        {"name": "line", "type": "shop.Line"}, {"name": "order", "type": "shop.Order"},
    ]}  # fmt: skip
    read = AvroSchema(json.dumps(schema), {"shop.Order": order})
    value = {"line": {"sku": "a"}, "order": {"line": {"sku": "b"}}}
    assert read.read(written(read.parsed, value)).to_dicts() == [value]


def test_a_schema_that_grows_without_end_is_read_one_by_one():
    def level(number):
        inner = "string" if number == 0 else level(number - 1)
        again = "string" if number == 0 else f"L{number - 1}"
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": again}]
        return {"type": "record", "name": f"L{number}", "fields": fields}

    def value(number):
        return "x" if number < 0 else {"a": value(number - 1), "b": value(number - 1)}

    schema = level(13)
    read = AvroSchema(json.dumps(schema), {})
    found = read.messages(written(schema, value(13)))
    assert found.columns is None
    assert json.loads(found.lines[0]) == value(13)


def test_another_field_of_several_types_changes_no_text_of_the_rest():
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "several", "type": ["null", "long", "string"]}]}
    values = {"text": 'a"b', "number": 1, "small": 2, "real": 1e16, "flag": True, "kind": "BUY", "again": None,
              "maybe": "c", "late": 3, "price": Decimal("1.50"), "at": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
              "day": date(2024, 1, 2), "lines": [{"sku": "s", "kind": "BUY"}], "float": 1.1, "bytes": b"d",
              "uuid": "00000000-0000-0000-0000-000000000001", "clock": time(1, 2, 3, 4000), "kinds": {"a": "VIEW"},
              "map": {"b": 4}, "inner": {"x": 0.1}}  # fmt: skip
    plain = AvroSchema(json.dumps(SCHEMA), {})
    other = AvroSchema(json.dumps(schema), {}).messages(written(schema, {**values, "several": "text"}))
    columns = plain.read(written(SCHEMA, values))
    assert other.columns is None
    assert json.loads(other.lines[0]) == {**json.loads(as_json(columns)[0]), "several": "text"}
