"""Avro in columns equals fastavro one message at a time; what is broken costs itself only."""

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import fastavro
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.io.payloads.avro import AvroSchema, BrokenMessage
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
    "map": ({"type": "map", "values": "long"}, st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=3)),
    "inner": (["null", {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": ["null", "double"]}]}],
              st.none() | st.fixed_dictionaries({"x": st.none() | st.floats(allow_nan=False)})),
}  # fmt: skip
SCHEMA = {"type": "record", "name": "E", "namespace": "shop",
          "fields": [{"name": name, "type": kind} for name, (kind, _) in TYPES.items()]}  # fmt: skip
record = st.fixed_dictionaries({name: values for name, (_, values) in TYPES.items()})


def pairs(row):
    """A map as columns have it."""
    return {**row, "map": [{"key": key, "value": value} for key, value in row["map"].items()]}


@examples(60)
@given(st.lists(record, min_size=1, max_size=5))
def test_columns_are_what_fastavro_reads(records):
    schema = AvroSchema(json.dumps(SCHEMA), {})
    bodies = written(SCHEMA, *records)
    columns = schema.read(bodies)
    assert columns is not None
    assert columns.to_dicts() == [pairs(schema.read_one(body)) for body in bodies] == [pairs(each) for each in records]


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
