"""Avro messages of one writer schema as columns: glued into one container that Polars reads, fastavro as the judge.

An index stands after each message. If all of them are where they should be, so were all ends of messages. What a batch
fails by is found message by message, and costs no neighbour anything.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import fastavro
import numpy as np
import polars as pl

_SYNC: Final = b"ecompulse-avro-1"
_VALUE: Final = "v"
_INDEX: Final = "i"
_KEY, _ITEM = "key", "value"
_INDEX_BYTES: Final = 8
_BITS, _MORE = 0x7F, 0x80


class BrokenMessage(ValueError):  # noqa: N818  # of a producer
    """A message is none of its schema."""


@dataclass(frozen=True)
class AvroSchema:
    """A writer schema.

    Attributes:
        text: as the registry has it, JSON.
        named: definitions of types that it refers to, by full name, as parsed JSON.
    """

    text: str
    named: Mapping[str, Any]

    @cached_property
    def parsed(self) -> Any:
        """Whole, in plain JSON: a type that is referred to stands where it is first used."""
        return _inlined(json.loads(self.text), dict(self.named), set())

    @cached_property
    def _judge(self) -> Any:
        return fastavro.parse_schema(self.parsed)

    @property
    def is_record(self) -> bool:
        """Whether messages are records, and have columns."""
        return isinstance(self.parsed, dict) and self.parsed.get("type") == "record"

    def read_one(self, body: bytes) -> Any:
        """One message; BrokenMessage when it is none."""
        handle = io.BytesIO(body)
        try:
            found = fastavro.schemaless_reader(handle, self._judge, None)
        except Exception as error:  # noqa: BLE001  # fastavro raises whatever it trips over
            raise BrokenMessage(str(error) or type(error).__name__) from None
        if handle.tell() != len(body):
            raise BrokenMessage(f"{len(body) - handle.tell()} bytes follow its end")
        return found

    def read(self, bodies: Sequence[bytes]) -> pl.DataFrame | None:
        """Messages as columns, a field each; None when they do not come out as they should."""
        if not self.is_record:
            return None
        try:
            found = pl.read_avro(io.BytesIO(glued(bodies, self._container)))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OSError, RecursionError):
            return None
        index = np.arange(len(bodies), dtype=np.float64)
        if found.height != len(bodies) or not np.array_equal(found[_INDEX].to_numpy(), index):
            return None
        restored = _restored(pl.col(_VALUE), self._whole)
        return found.select(restored.alias(_VALUE)).unnest(_VALUE)

    @cached_property
    def _whole(self) -> Any:
        return _expanded(self.parsed, {}, ())

    @cached_property
    def _container(self) -> bytes:
        fields = [{"name": _VALUE, "type": _simple(self._whole, [0])}, {"name": _INDEX, "type": "double"}]
        return json.dumps({"type": "record", "name": "Glued", "fields": fields}).encode()


def glued(bodies: Sequence[bytes], schema: bytes) -> bytes:
    """A container of one block: messages with their number after each."""
    index = np.arange(len(bodies), dtype="<f8").tobytes()
    places = range(0, len(index), _INDEX_BYTES)
    data = b"".join([part for body, at in zip(bodies, places, strict=True) for part in (body, index[at : at + 8])])
    meta = {b"avro.schema": schema, b"avro.codec": b"null"}
    pairs = b"".join(_sized(key) + _sized(value) for key, value in meta.items())
    head = b"Obj\x01" + _long(len(meta)) + pairs + _long(0) + _SYNC
    return head + _long(len(bodies)) + _long(len(data)) + data + _SYNC


def _sized(data: bytes) -> bytes:
    return _long(len(data)) + data


def _long(number: int) -> bytes:
    """A number as Avro writes it: zigzag, seven bits a byte."""
    rest, out = number << 1, bytearray()
    while rest > _BITS:
        out.append(rest & _BITS | _MORE)
        rest >>= 7
    return bytes([*out, rest])


def _inlined(schema: Any, named: dict[str, Any], seen: set[str], space: str = "") -> Any:
    """A schema with what it refers to put where it is first used."""
    if isinstance(schema, list):
        return [_inlined(part, named, seen, space) for part in schema]
    if isinstance(schema, str):
        full = schema if schema in named or not space else f"{space}.{schema}"
        if full in named and full not in seen:
            seen.add(full)
            return _inlined(named[full], named, seen, space)
        return schema
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    if "name" in found:
        space = found.get("namespace", found["name"].rpartition(".")[0] or space)
        seen.add(found["name"] if "." in found["name"] or not space else f"{space}.{found['name']}")
    for part in ("type", "items", "values"):
        if part in found:
            found[part] = _inlined(found[part], named, seen, space)
    if "fields" in found:
        found["fields"] = [{**each, "type": _inlined(each["type"], named, seen, space)} for each in found["fields"]]
    return found


def _expanded(schema: Any, types: dict[str, Any], within: tuple[str, ...]) -> Any:
    """A schema without references; ValueError for a type that holds itself, which no column does."""
    if isinstance(schema, list):
        return [_expanded(part, types, within) for part in schema]
    if isinstance(schema, str):
        name = schema.rpartition(".")[2]
        if name in within:
            raise ValueError(f"{schema} holds itself")
        return _expanded(types[name], types, within) if name in types else schema
    if not isinstance(schema, dict):
        return schema
    if "name" in schema:
        types[schema["name"].rpartition(".")[2]] = schema
        within = (*within, schema["name"].rpartition(".")[2])
    found = {
        **schema,
        **{part: _expanded(schema[part], types, within) for part in ("items", "values") if part in schema},
    }
    if isinstance(schema.get("type"), dict | list):
        found["type"] = _expanded(schema["type"], types, within)
    if "fields" in schema:
        found["fields"] = [{**each, "type": _expanded(each["type"], types, within)} for each in schema["fields"]]
    return found


def _simple(schema: Any, count: list[int]) -> Any:
    """The schema in types that Polars reads from the same bytes: a map is a list of pairs, an enum its number."""
    if isinstance(schema, list):
        return [_simple(part, count) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if isinstance(kind, dict | list):
        return _simple(kind, count)
    count[0] += 1
    name = f"Type_{count[0]}"
    if kind == "map":
        fields = [{"name": _KEY, "type": "string"}, {"name": _ITEM, "type": _simple(schema["values"], count)}]
        return {"type": "array", "items": {"type": "record", "name": name, "fields": fields}}
    if kind == "record":
        fields = [{"name": each["name"], "type": _simple(each["type"], count)} for each in schema["fields"]]
        return {"type": "record", "name": name, "fields": fields}
    others: dict[Any, Any] = {
        "enum": "int",
        "array": {"type": "array", "items": _simple(schema.get("items"), count)},
        "fixed": {**schema, "name": name},
    }
    return others.get(kind, schema)


def _restored(value: pl.Expr, schema: Any) -> pl.Expr:
    """What `_simple` has changed, as it was: symbols of enums."""
    if isinstance(schema, list):
        kinds = [part for part in schema if part != "null"]
        return _restored(value, kinds[0]) if len(kinds) == 1 else value
    if not isinstance(schema, dict) or not _has_enum(schema):
        return value
    kind = schema["type"]
    if kind == "enum":
        symbols = schema["symbols"]
        return value.replace_strict(list(range(len(symbols))), symbols, default=None, return_dtype=pl.String)
    if kind == "array":
        return value.list.eval(_restored(pl.element(), schema["items"]))
    if kind == "record":
        parts = [
            _restored(value.struct.field(each["name"]), each["type"]).alias(each["name"]) for each in schema["fields"]
        ]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    return _restored(value, kind)


def _has_enum(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_enum, schema))
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "enum":
        return True
    inner = [schema.get("type"), schema.get("items"), *(each["type"] for each in schema.get("fields", ()))]
    return any(_has_enum(part) for part in inner if isinstance(part, dict | list))


Read = Callable[[bytes], Any]


def judged(bodies: Sequence[bytes], read: Read) -> Iterator[tuple[int, Any, str]]:
    """Each message by itself: its place, what it holds, and if it is broken why."""
    for place, body in enumerate(bodies):
        try:
            yield place, read(body), ""
        except BrokenMessage as broken:
            yield place, None, str(broken)
