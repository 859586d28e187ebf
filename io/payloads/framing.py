"""Which schema a message is written by: the two framings of Confluent's serialisers."""

import struct
import uuid
from typing import Final, NamedTuple

MAGIC: Final = 0
"""First byte of a message that has the id of its schema before its body, or of a header that has the id."""
_GUID: Final = 1
"""First byte of a header that has a GUID."""
HEADER: Final = "__value_schema_id"
PREFIX: Final = 5
"""Bytes before a body that name its schema."""
_GUID_BYTES: Final = 17

Headers = list[tuple[str, bytes | None]] | None


class Framed(NamedTuple):
    """A message.

    Attributes:
        key: id or GUID of its schema; None where it says none.
        body: without what names the schema.
        why: what is wrong with it, if it has no schema.
    """

    key: int | str | None
    body: bytes
    why: str = ""


def framed(value: bytes | None, headers: Headers) -> Framed:
    """The schema and the body of a message: by its header, else by its first five bytes."""
    if value is None:
        return Framed(None, b"", "a message without a value (a tombstone)")
    for name, content in headers or ():
        if name == HEADER and content:
            # What follows in the header are indexes of Protobuf's, which else are before the body.
            if content[0] == MAGIC and len(content) >= PREFIX:
                return Framed(struct.unpack(">I", content[1:PREFIX])[0], content[PREFIX:] + value)
            if content[0] == _GUID and len(content) >= _GUID_BYTES:
                return Framed(str(uuid.UUID(bytes=content[1:_GUID_BYTES])), content[_GUID_BYTES:] + value)
            return Framed(None, value, f"its header {HEADER} is neither an id nor a GUID")
    if len(value) >= PREFIX and value[0] == MAGIC:
        return Framed(struct.unpack(">I", value[1:PREFIX])[0], value[PREFIX:])
    return Framed(None, value, "names no schema: neither a magic byte and an id, nor a header")
