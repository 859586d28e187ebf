"""Protobuf messages by the descriptors that a registry has (`format=serialized`), one at a time."""

import base64
import binascii
import importlib
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from typing import Any, Final

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from ecompulse.io.payloads.avro import BrokenMessage
from ecompulse.io.payloads.registry import Registry, UnknownSchema

_WELL_KNOWN: Final = "google.protobuf."
_VALUE: Final = "value"
_MORE, _BITS = 0x80, 0x7F
_MOST_BITS = 63


def reader_of(registry: Registry, key: int | str) -> Callable[[bytes], Any]:
    """How a message is read: its indexes, which say of which type it is, then its bytes; BrokenMessage when it is none.

    Raises:
        UnknownSchema: the registry gives no descriptor.
    """
    known = _readers.get((registry.url, key))
    if known is None:
        known = _readers[registry.url, key] = _reader(registry.descriptors(key))
    return known


_readers: dict[tuple[str, int | str], Callable[[bytes], Any]] = {}


def _reader(files: Sequence[tuple[str, str]]) -> Callable[[bytes], Any]:
    """`files`: name and descriptor (base64) of the schema's own file last, and before it those that it refers to."""
    pool = descriptor_pool.DescriptorPool()
    known: set[str] = set()
    try:
        for name, text in files:
            last = _add(pool, _descriptor(name, text), known)
        file = pool.FindFileByName(last)
    except (TypeError, KeyError) as error:
        raise UnknownSchema(f"its descriptor is not whole: {str(error).splitlines()[0]}") from None

    def read(body: bytes) -> Any:
        places, rest = _indexes(body)
        types = list(file.message_types_by_name.values())
        try:
            type_ = types[places[0]]
            for place in places[1:]:
                type_ = type_.nested_types[place]
            message = message_factory.GetMessageClass(type_)()
            message.ParseFromString(rest)
            return _plain(message)
        except (IndexError, DecodeError, json_format.Error, *_UNFIT) as error:
            raise BrokenMessage(f"is no message of it: {error}") from None

    return read


_UNFIT = (ValueError, TypeError, RecursionError, OverflowError)
"""What a value of a well-known type makes that JSON does not have, such as a time beyond the year 9999."""


def _descriptor(name: str, text: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    try:
        file.ParseFromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError):
        raise UnknownSchema("the registry gives no descriptor of it (format=serialized)") from None
    file.name = name or file.name or "default"
    return file


def _add(pool: descriptor_pool.DescriptorPool, file: descriptor_pb2.FileDescriptorProto, known: set[str]) -> str:
    """Add a file, and before it the well-known ones that it imports; imports that nobody has are left out.

    Those are mostly of options, such as `confluent/meta.proto`; a type of one is found missing by the pool.
    """
    for name in set(file.dependency) - known:
        there = _well_known(name)
        if there is not None:
            _add(pool, there, known)
    kept = [name for name in file.dependency if name in known]
    file.ClearField("dependency")
    file.ClearField("public_dependency")
    file.ClearField("weak_dependency")
    file.dependency.extend(kept)
    pool.Add(file)
    known.add(file.name)
    return str(file.name)


def _well_known(name: str) -> descriptor_pb2.FileDescriptorProto | None:
    if not name.startswith(_WELL_KNOWN.replace(".", "/")):
        return None
    try:
        module = name.removesuffix(".proto").replace("/", ".")
        importlib.import_module(f"{module}_pb2")  # adds itself to the default pool
        there = descriptor_pool.Default().FindFileByName(name)
    except (ImportError, KeyError):
        return None
    file = descriptor_pb2.FileDescriptorProto()
    there.CopyToProto(file)
    return file


def _plain(message: Message) -> Any:
    """A message as JSON has it: fields that are set, numbers as numbers, bytes as text."""
    type_ = message.DESCRIPTOR
    if type_.full_name.startswith(_WELL_KNOWN):
        if list(type_.fields_by_name) == [_VALUE]:  # a wrapper, of a number that may be unset
            return _one(type_.fields_by_name[_VALUE], getattr(message, _VALUE))
        return json_format.MessageToDict(message, descriptor_pool=type_.file.pool)
    return {
        f"[{field.full_name}]" if field.is_extension else field.name: _field(field, value)
        for field, value in message.ListFields()
    }


def _field(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name[_VALUE]
        return {str(key).lower() if isinstance(key, bool) else str(key): _one(inner, value[key]) for key in value}
    return [_one(field, each) for each in value] if isinstance(value, MutableSequence) else _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type:
        return _plain(value)
    if field.enum_type:
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return float(str(np.float32(value))) if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else value


def _indexes(body: bytes) -> tuple[list[int], bytes]:
    """Which type of the file a message is: numbers, zigzag, their count before; a single 0 is the first type."""
    numbers = _numbers(body)
    try:
        count, at = next(numbers)
        if not count:
            return [0], body[at:]
        places = []
        for _ in range(count):
            place, at = next(numbers)
            places.append(place)
    except StopIteration:
        raise BrokenMessage("ends within the indexes of its type") from None
    if count < 0 or min(places) < 0:
        raise BrokenMessage("has a negative index of its type")
    return places, body[at:]


def _numbers(body: bytes) -> Iterator[tuple[int, int]]:
    value = bits = 0
    for at, byte in enumerate(body):
        value |= (byte & _BITS) << bits
        bits += 7
        if not byte & _MORE:
            yield (value >> 1) ^ -(value & 1), at + 1
            value = bits = 0
        elif bits > _MOST_BITS:
            return
