"""Messages by a schema registry: both framings, schemas that change, broken ones, and what Kafka says of each."""

import base64
import json
import pickle
import ssl
import struct
import uuid
from decimal import Decimal

import polars as pl
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.kafka.settings import ClientSettings, load_settings
from ecompulse.io.payloads.framing import HEADER
from ecompulse.io.payloads.payload import Payload
from ecompulse.io.payloads.registry import Registry, UnknownSchema
from ecompulse.kernels.decode import decode
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.mapping import parse_mapping
from services.certificates import make_certificates
from services.registry import StubRegistry
from support.avro import written

NOW = 1_750_000_000_000
MAPPING = parse_mapping(
    "fields: {event_id: id, event_time: at, user_id: user.id, price: price, brand: 'tags[key=brand].value'}\n"
    "constants: {event_type: purchase}"
)
ONE = {"type": "record", "name": "E", "fields": [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "user", "type": {"type": "record", "name": "U", "fields": [{"name": "id", "type": "long"}]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
    {"name": "tags", "type": {"type": "map", "values": "string"}},
]}  # fmt: skip
TWO = {**ONE, "fields": [{"name": "extra", "type": ["null", "string"], "default": None}, *reversed(ONE["fields"])]}
OTHER = {
    "type": "record",
    "name": "E",
    "fields": [{"name": "id", "type": "string"}, {"name": "price", "type": "string"}],
}


def event(number):
    at = 1_714_557_600_000 + number
    return {"id": f"e{number}", "at": at, "user": {"id": 7}, "price": _money(number), "tags": {"brand": "Acme"}}


def _money(number):
    return Decimal(number) / 4


def frame(values):
    place = {"source": "t", "source_partition": 0, "source_offset": range(len(values))}
    return pl.DataFrame({"raw": values, **place}, schema=RAW_SCHEMA)


def read(payload, values, headers=None, mapping=MAPPING, told=()):
    """Events by offset, and dead letters as (offset, rule, message)."""
    events, dead = {}, []
    for rows in payload.rows(frame(values), headers or [None] * len(values), told):
        decoded = decode(rows, NOW, mapping)
        events |= {row["source_offset"]: row for row in decoded.events.to_dicts()}
        dead += decoded.dead.select("source_offset", "rule", "message").rows()
        assert decoded.events.height - decoded.further + decoded.dead.height + decoded.skipped == rows.height
    return events, sorted(dead)


def magic(number, body):
    return b"\0" + struct.pack(">I", number) + body


def test_both_framings_and_a_new_schema_in_the_middle_give_the_same_events(stub):
    first, second = stub.add(ONE), stub.add(TWO)
    old, new = written(ONE, *map(event, range(4))), written(TWO, *({**event(n), "extra": "x"} for n in range(4, 8)))
    bodies = [old[0], new[0], old[1], new[1], old[2], new[2], old[3], new[3]]
    keys = [first, second] * 4
    values, headers = [], []
    for place, (key, body) in enumerate(zip(keys, bodies, strict=True)):
        header = {2: b"\0" + struct.pack(">I", key), 3: b"\1" + uuid.UUID(stub.guid(key)).bytes}.get(place)
        values.append(body if header else magic(key, body))
        headers.append([(HEADER, header), ("x", None)] if header else None)
    events, dead = read(Payload("avro", Registry(stub.url)), values, headers)
    assert dead == []
    assert [events[place]["event_id"] for place in range(8)] == ["e0", "e4", "e1", "e5", "e2", "e6", "e3", "e7"]
    assert [events[place]["price"] for place in range(8)] == [_money(n) for n in (0, 4, 1, 5, 2, 6, 3, 7)]
    assert {row["brand"] for row in events.values()} == {"Acme"}
    assert json.loads(events[1]["properties"])["extra"] == "x"
    assert stub.asked[f"/schemas/ids/{first}"] == 1, "a schema is asked for once"


def test_broken_messages_are_dead_letters_that_name_their_schema(stub):
    number, other = stub.add(ONE), stub.add(OTHER)
    good = written(ONE, event(1))[0]
    odd = written(OTHER, {"id": "x", "price": "cheap"})[0]
    values = [
        magic(number, good),
        magic(number, good[:-3]),
        magic(99, good),
        b"{}",
        None,
        magic(other, odd),
        magic(number, good),
    ]
    events, dead = read(Payload("avro", Registry(stub.url)), values)
    assert sorted(events) == [0, 6]
    assert [(place, rule) for place, rule, _ in dead] == [
        (1, "broken_payload"),
        (2, "broken_payload"),
        (3, "broken_payload"),
        (4, "broken_payload"),
        (5, "missing_required"),
    ]
    said = [message for *_, message in dead]
    assert said[0].startswith(f"schema {number}: ")
    assert said[1].startswith("schema 99: ")
    assert "names no schema" in said[2]
    assert "tombstone" in said[3]
    assert said[4].endswith(f"(schema {other})")


def test_what_a_reader_says_of_a_message_is_not_told_where_values_are_hidden(stub):
    number = stub.add(ONE)
    values = [magic(number, b"secret"), None]
    told = [
        decode(rows, NOW, MAPPING).bare.to_list()
        for rows in Payload("avro", Registry(stub.url)).rows(frame(values), [None] * 2, ())
    ]
    assert told == [[f"schema {number}: cannot be read by it"], ["a message without a value (a tombstone)"]]


@pytest.mark.parametrize("form", ["json", "avro"])
def test_tombstones_can_be_skipped(stub, form):
    mapping = parse_mapping("fields: {event_id: id}\nskip: [tombstones]")
    for rows in Payload(form, Registry(stub.url)).rows(frame([None, b"x", None]), [None] * 3, ()):
        decoded = decode(rows, NOW, mapping)
        assert (decoded.skipped, decoded.dead.height) in {(2, 1), (2, 0), (0, 1)}
        assert decoded.dead["raw"].null_count() == 0
    skipped = [
        decode(rows, NOW, mapping).skipped
        for rows in Payload(form, Registry(stub.url)).rows(frame([None, None]), [None] * 2, ())
    ]
    assert sum(skipped) == 2


def test_json_schema_is_json_after_its_frame(stub):
    number = stub.add({"type": "object"}, kind="JSON")
    row = {"id": "a", "at": "2024-05-01T10:00:00Z", "user": {"id": 1}, "price": 2.5}
    events, dead = read(
        Payload("json_schema", Registry(stub.url)), [magic(number, json.dumps(row).encode()), magic(number, b"{")]
    )
    assert events[0]["event_id"] == "a"
    assert [(place, rule) for place, rule, _ in dead] == [(1, "broken_json")]


def descriptor():
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    outer = file.message_type.add(name="Outer")
    inner = outer.nested_type.add(name="Order")
    kind = descriptor_pb2.FieldDescriptorProto
    fields = (("id", kind.TYPE_STRING, ""), ("at", kind.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
              ("user", kind.TYPE_MESSAGE, ".shop.User"), ("price", kind.TYPE_DOUBLE, ""))  # fmt: skip
    for place, (name, of, type_name) in enumerate(fields, start=1):
        inner.field.add(name=name, number=place, type=of, label=kind.LABEL_OPTIONAL)
        if type_name:
            inner.field[-1].type_name = type_name
    user = file.message_type.add(name="User")
    user.field.add(name="id", number=1, type=kind.TYPE_INT64, label=kind.LABEL_OPTIONAL)
    return file


@pytest.mark.parametrize("header", [False, True])
def test_protobuf_by_the_descriptor_of_the_registry(stub, header):
    file = descriptor()
    number = stub.add(
        'syntax = "proto3";', kind="PROTOBUF", serialized=base64.b64encode(file.SerializeToString()).decode()
    )
    pool = descriptor_pool.DescriptorPool()
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    pool.Add(stamp)
    pool.Add(file)
    order = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Outer.Order"))(id="p1", price=1.25)
    order.at.seconds = 1_714_557_600
    order.user.id = 7
    indexes, body = bytes([4, 0, 0]), order.SerializeToString()  # two of them, zigzag: the first type, its first
    frame_ = b"\0" + struct.pack(">I", number)
    values = [body if header else frame_ + indexes + body, frame_ + indexes + b"\xff\xff"]
    headers = [[(HEADER, frame_ + indexes)] if header else None, None]
    events, dead = read(Payload("protobuf", Registry(stub.url)), values, headers)
    assert (events[0]["event_id"], events[0]["user_id"], events[0]["price"]) == ("p1", "7", _money(5))
    assert [(place, rule) for place, rule, _ in dead] == [(1, "broken_payload")]


TOLD = parse_mapping(
    "fields: {event_id: [id, _kafka.headers.ce_id], event_type: _kafka.headers.ce_type, event_time: _kafka.timestamp,\n"
    "  user_id: _kafka.key}\nskip: [{_kafka.headers.ce_type: ping}]"
)


@pytest.mark.parametrize("form", ["json", "avro"])
def test_key_headers_and_timestamp_are_fields_too(stub, form):
    assert TOLD.reads_kafka
    assert not MAPPING.reads_kafka
    schema = {"type": "record", "name": "E", "fields": [{"name": "color", "type": "string"}]}
    number = stub.add(schema)
    told = [
        json.dumps(
            {"key": "u1", "timestamp": 1_714_557_600_000, "headers": {"ce_id": f"c{n}", "ce_type": kind}}
        ).encode()
        for n, kind in enumerate(["page_view", "ping", "search"])
    ]
    body = b'{"color": "red"}' if form == "json" else magic(number, written(schema, {"color": "red"})[0])
    events, dead = read(
        Payload(form, Registry(stub.url), told=True),
        [body, body, b" { } " if form == "json" else body],
        None,
        TOLD,
        told,
    )
    assert dead == []
    assert [(row["event_id"], row["event_type"], row["user_id"]) for row in events.values()] == [
        ("c0", "page_view", "u1"),
        ("c2", "search", "u1"),
    ]
    assert json.loads(events[0]["properties"])["color"] == "red"


def test_a_registry_that_fails_is_asked_again_and_then_it_is_an_error(stub, monkeypatch):
    monkeypatch.setattr("ecompulse.io.payloads.registry.wait_exponential_jitter", lambda **_: lambda _state: 0)
    number, registry = stub.add(ONE), Registry(stub.url)
    stub.broken = [503, 500]
    assert registry.schema(number).kind == "AVRO"
    stub.broken = [503] * 9
    with pytest.raises(JobError, match="answers 503"):
        registry.schema(77)
    stub.broken = []
    with pytest.raises(UnknownSchema):
        registry.schema(77)
    with pytest.raises(JobError, match="does not answer"):
        Registry("http://localhost:9").check()


@pytest.mark.parametrize("said", [{"error": "route not found"}, "<html>", {"error_code": 404, "message": "HTTP 404"}])
def test_a_404_of_something_before_the_registry_makes_no_message_a_dead_letter(stub, monkeypatch, said):
    monkeypatch.setattr("ecompulse.io.payloads.registry.wait_exponential_jitter", lambda **_: lambda _state: 0)
    number, registry = stub.add(ONE), Registry(stub.url)
    values = [magic(number, written(ONE, event(1))[0])]
    stub.broken = [(404, said)] * 4
    with pytest.raises(JobError, match="answers 404, and not as a registry does"):
        read(Payload("avro", registry), values)
    stub.broken = [(404, said)]
    events, dead = read(Payload("avro", registry), values)
    assert (len(events), dead) == (1, [])


@pytest.mark.parametrize(
    "said", [{"message": "moved"}, [], None, "x", {"schema": None}, {"schema": "s", "references": [{}]}]
)
def test_an_answer_that_is_no_schema_is_one_clear_error(stub, said):
    number = stub.add(ONE)
    stub.broken = [(200, said)]
    with pytest.raises(JobError, match=f"--schema_registry: {stub.url}/schemas/ids/{number}: answers without a schema"):
        Registry(stub.url).schema(number)


def test_a_place_that_is_no_registry_is_refused_at_the_start(stub):
    stub.broken = [(404, {"error_code": 40401})]
    with pytest.raises(UserError, match="is no schema registry"):
        Registry(stub.url).check()


@pytest.mark.parametrize(
    "text",
    [
        "not json{",
        '{"type": "record", "name": "E"}',
        '{"type": "no such type"}',
        '{"type": "record", "name": "E", "fields": [{"name": "a", "type": {"type": "record", "name": "F"}}]}',
        "[]",
        "7",
        '{"type": "record", "name": "E", "fields": [{"type": "string"}]}',
    ],
)
def test_a_schema_that_is_none_makes_dead_letters_of_its_messages(stub, text):
    good, bad = stub.add(ONE), stub.add(text)
    events, dead = read(
        Payload("avro", Registry(stub.url)), [magic(bad, b"abc"), magic(good, written(ONE, event(1))[0])]
    )
    assert list(events) == [1]
    assert [(place, rule) for place, rule, _ in dead] == [(0, "broken_payload")]
    assert f"schema {bad}: " in dead[0][2]


def test_a_reference_that_was_deleted_is_still_asked_for(stub):
    stub.add({"type": "record", "name": "Money", "fields": [{"name": "amount", "type": "long"}]}, "money")
    stub.deleted = {"money"}
    schema = {"type": "record", "name": "E", "fields": [{"name": "m", "type": "Money"}]}
    number = stub.add(schema, references=[{"name": "Money", "subject": "money", "version": 1}])
    assert list(Registry(stub.url).schema(number).named) == ["Money"]


def test_a_field_with_the_name_of_what_kafka_says_makes_dead_letters(stub):
    schema = {"type": "record", "name": "E", "fields": [{"name": "_kafka", "type": "string"}]}
    values = [magic(stub.add(schema), written(schema, {"_kafka": "x"})[0])]
    events, dead = read(Payload("avro", Registry(stub.url), told=True), values, None, TOLD, [b'{"key":"u"}'])
    assert not events
    assert [rule for _, rule, _ in dead] == ["broken_payload"]


def test_references_are_asked_for(stub):
    stub.add({"type": "record", "name": "Money", "fields": [{"name": "amount", "type": "long"}]}, "money")
    schema = {"type": "record", "name": "E", "fields": [{"name": "m", "type": "Money"}]}
    number = stub.add(schema, references=[{"name": "Money", "subject": "money", "version": 1}])
    assert list(Registry(stub.url).schema(number).named) == ["Money"]


def test_login_and_certificates(tmp_path, monkeypatch):
    certificates = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.authority)
    context.load_cert_chain(certificates.chain, certificates.key)
    context.verify_mode = ssl.CERT_REQUIRED
    monkeypatch.setenv("LOGIN", "me:secret")
    names = {"basic.auth.user.info": "${LOGIN}", "ssl.ca.location": certificates.authority,
             "ssl.certificate.location": certificates.chain, "ssl.key.location": certificates.key}  # fmt: skip
    (tmp_path / "k.yaml").write_text("".join(f"schema.registry.{name}: {value}\n" for name, value in names.items()))
    settings = load_settings(str(tmp_path / "k.yaml"))
    assert not any("registry" in name for name in {**settings.for_python(), **settings.for_librdkafka()})
    with StubRegistry("me:secret", context) as stub:
        registry = pickle.loads(pickle.dumps(Registry(stub.url, settings)))  # noqa: S301  # our own bytes
        registry.check()
        with pytest.raises(UserError, match="401 Unauthorized"):
            Registry(stub.url, ClientSettings({k: v for k, v in settings.values.items() if "auth" not in k})).check()
        monkeypatch.setattr("ecompulse.io.payloads.registry.wait_exponential_jitter", lambda **_: lambda _state: 0)
        with pytest.raises(JobError, match="TLS"):
            Registry(stub.url, ClientSettings({"schema.registry.basic.auth.user.info": "me:secret"})).check()
