"""Protobuf messages by the descriptors that a registry has (`format=serialized`), one at a time."""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from ecompulse.io.payloads.avro import BrokenMessage
from ecompulse.io.payloads.registry import Registry, UnknownSchema

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
    names = []
    for name, text in files:
        names += [_add(pool, name, text)]
    file = pool.FindFileByName(names[-1])

    def read(body: bytes) -> Any:
        places, rest = _indexes(body)
        types = list(file.message_types_by_name.values())
        try:
            found = types[places[0]]
            for place in places[1:]:
                found = found.nested_types[place]
            message = message_factory.GetMessageClass(found)()
            message.ParseFromString(rest)
            return MessageToDict(message, preserving_proto_field_name=True)
        except (IndexError, DecodeError, ValueError, TypeError) as error:
            raise BrokenMessage(f"is no message of it: {error}") from None

    return read


def _add(pool: descriptor_pool.DescriptorPool, name: str, text: str) -> str:
    found = descriptor_pb2.FileDescriptorProto()
    try:
        found.ParseFromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError):
        raise UnknownSchema("the registry gives no descriptor of it (format=serialized)") from None
    found.name = name or found.name or "default"
    for each in found.dependency:
        if each.startswith("google/protobuf/"):
            pool.Add(_well_known(each))
    pool.Add(found)
    return str(found.name)


def _well_known(name: str) -> descriptor_pb2.FileDescriptorProto:
    module = f"google.protobuf.{name.rpartition('/')[2].removesuffix('.proto')}_pb2"
    __import__(module)  # adds itself to the default pool
    found = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName(name).CopyToProto(found)
    return found


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
