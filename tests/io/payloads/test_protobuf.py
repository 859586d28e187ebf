"""Protobuf by descriptors of a registry: every message is an event or a dead letter, and values are what JSON has."""

import base64
import json
import struct

import polars as pl
import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

from ecompulse.io.payloads.payload import Payload
from ecompulse.io.payloads.protobuf import reader_of
from ecompulse.io.payloads.registry import Registry, UnknownSchema
from ecompulse.kernels.event import PAYLOAD_FAULT, RAW_SCHEMA

KIND = descriptor_pb2.FieldDescriptorProto
SHARED = (timestamp_pb2, struct_pb2, wrappers_pb2, field_mask_pb2, any_pb2)
FIELDS = {
    "text": (KIND.TYPE_STRING, ""), "blob": (KIND.TYPE_BYTES, ""), "number": (KIND.TYPE_INT64, ""),
    "real": (KIND.TYPE_FLOAT, ""), "kind": (KIND.TYPE_ENUM, ".shop.Kind"), "flag": (KIND.TYPE_BOOL, ""),
    "at": (KIND.TYPE_MESSAGE, ".google.protobuf.Timestamp"), "any": (KIND.TYPE_MESSAGE, ".google.protobuf.Any"),
    "value": (KIND.TYPE_MESSAGE, ".google.protobuf.Value"), "count": (KIND.TYPE_MESSAGE, ".google.protobuf.Int64Value"),
    "mask": (KIND.TYPE_MESSAGE, ".google.protobuf.FieldMask"), "self": (KIND.TYPE_MESSAGE, ".shop.Order"),
}  # fmt: skip


def order_file():
    """`shop.Order`, which has a field of each kind."""
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.extend(module.DESCRIPTOR.name for module in SHARED)
    kinds = file.enum_type.add(name="Kind")
    for number, name in enumerate(("VIEW", "BUY")):
        kinds.value.add(name=name, number=number)
    order = file.message_type.add(name="Order")
    for place, (name, (of, type_name)) in enumerate(FIELDS.items(), start=1):
        order.field.add(name=name, number=place, type=of, type_name=type_name or None, label=KIND.LABEL_OPTIONAL)
    order.field.add(name="tags", number=30, type=KIND.TYPE_MESSAGE, type_name=".shop.Order.TagsEntry", label=3)
    entry = order.nested_type.add(name="TagsEntry", options=descriptor_pb2.MessageOptions(map_entry=True))
    entry.field.add(name="key", number=1, type=KIND.TYPE_STRING, label=KIND.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=KIND.TYPE_INT64, label=KIND.LABEL_OPTIONAL)
    order.field.add(name="many", number=31, type=KIND.TYPE_BYTES, label=3)
    return file


def serialized(file):
    return base64.b64encode(file.SerializeToString()).decode()


def order(**fields: object):
    pool = descriptor_pool.DescriptorPool()
    for module in SHARED:
        there = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(there)
        pool.Add(there)
    pool.Add(order_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))(**fields)


def read(stub, *messages: bytes, number: int = 0):
    """JSON, or why not, of each message."""
    number = number or stub.add("", kind="PROTOBUF", serialized=serialized(order_file()))
    place = {"source": "t", "source_partition": 0, "source_offset": range(len(messages))}
    framed = [b"\0" + struct.pack(">I", number) + b"\0" + each for each in messages]
    found = {}
    for rows in Payload("protobuf", Registry(stub.url)).rows(
        pl.DataFrame({"raw": framed, **place}, schema=RAW_SCHEMA), [None] * len(messages), ()
    ):
        for row in rows.to_dicts():
            found[row["source_offset"]] = row.get(PAYLOAD_FAULT) or json.loads(row["raw"])
    return [found[place] for place in range(len(messages))]


def test_values_are_what_json_has(stub):
    message = order(text="a", blob=b"b\xff", number=2**53 + 1, real=1.1, kind=1, tags={"k": 7}, many=[b"c"])
    message.at.seconds, message.count.value = 1_714_557_600, 5
    message.self.kind = 9
    assert read(stub, message.SerializeToString()) == [{
        "text": "a", "blob": "b\\xff", "number": 2**53 + 1, "real": 1.1, "kind": "BUY", "tags": {"k": 7}, "many": ["c"],
        "at": "2024-05-01T10:00:00Z", "count": 5, "self": {"kind": 9},
    }]  # fmt: skip


def test_what_json_does_not_have_is_a_dead_letter_and_stops_nothing(stub):
    odd = [order() for _ in range(5)]
    odd[0].at.seconds = 1_714_557_600_000  # milliseconds by mistake
    odd[1].at.nanos = -5
    odd[2].value.number_value = float("nan")
    odd[3].mask.paths.append("fooBar")
    odd[4].any.type_url = "x/nobody"
    good = order(text="good").SerializeToString()
    *broken, last = read(stub, *(message.SerializeToString() for message in odd), good)
    assert all(why.startswith("schema 1: is no message of it: ") for why in broken)
    assert last == {"text": "good"}


def chained(name, *imports: str):
    file = descriptor_pb2.FileDescriptorProto(name=name, package=name[0], syntax="proto3")
    file.dependency.extend(imports)
    message = file.message_type.add(name="M")
    message.field.add(name="text", number=1, type=KIND.TYPE_STRING, label=KIND.LABEL_OPTIONAL)
    for place, other in enumerate(imports, start=2):
        if other.endswith(".proto") and len(other) == len(name):
            message.field.add(name=other[0], number=place, type=KIND.TYPE_MESSAGE, type_name=f".{other[0]}.M",
                              label=KIND.LABEL_OPTIONAL)  # fmt: skip
    return serialized(file)


@pytest.mark.parametrize("order_of_references", ["bc", "cb"])
def test_files_may_be_referred_to_in_any_order(stub, order_of_references):
    """a needs b and c, b needs c."""

    def reference(name):
        return {"name": f"{name}.proto", "subject": name, "version": 1}

    stub.add("", "c", "PROTOBUF", serialized=chained("c.proto"))
    stub.add("", "b", "PROTOBUF", [reference("c")], chained("b.proto", "c.proto"))
    number = stub.add("", "a", "PROTOBUF", [reference(name) for name in order_of_references],
                      chained("a.proto", "b.proto", "c.proto"))  # fmt: skip
    assert read(stub, b"\x0a\x01x\x12\x05\x12\x03\x0a\x01y", number=number) == [
        {"text": "x", "b": {"c": {"text": "y"}}}
    ]


@pytest.mark.parametrize(
    "name", ["confluent/meta.proto", "google/protobuf/compiler/plugin.proto", "google/type/x.proto"]
)
def test_an_import_of_which_nothing_is_used_may_be_missing(stub, name):
    number = stub.add("", "a", "PROTOBUF", serialized=chained("a.proto", name))
    assert read(stub, b"\x0a\x01x", number=number) == [{"text": "x"}]


def test_a_type_that_nobody_has_makes_dead_letters(stub):
    number = stub.add("", "a", "PROTOBUF", serialized=chained("a.proto", "b.proto"))
    with pytest.raises(UnknownSchema, match="its descriptor is not whole"):
        reader_of(Registry(stub.url), number)
    [why] = read(stub, b"", number=number)
    assert f"schema {number}: its descriptor is not whole" in why
