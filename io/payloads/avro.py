"""Avro messages of one writer schema as columns: glued into one container that Polars reads, fastavro as the judge.

An index stands after each message. If all of them are where they should be, so were all ends of messages. What a batch
fails by is looked for: a message comes out the same whichever others are read with it.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import fastavro
import numpy as np
import polars as pl

from ecompulse.io.payloads.avro_types import NoColumns, expanded, inlined, paired, readable, restored, without_logical
from ecompulse.kernels.decode.batch import all_of
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.properties import join_objects
from ecompulse.kernels.decode.routing import json_text
from ecompulse.kernels.decode.typed_text import plain, text_of

_SYNC: Final = b"ecompulse-avro-1"
_VALUE: Final = "v"
_INDEX: Final = "i"
_BITS, _MORE = 0x7F, 0x80
_FAILURES: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OSError, RecursionError)


class BrokenMessage(ValueError):  # noqa: N818  # of a producer
    """A message is none of its schema."""


@dataclass
class Messages:
    """Messages of a batch, each in one of three ways.

    Attributes:
        places: of those in columns.
        columns: of these, a field each; None where there are none.
        lines: JSON of those that no columns hold, by place.
        broken: why others are no messages of the schema, by place.
    """

    places: Sequence[int] = ()
    columns: pl.DataFrame | None = None
    lines: dict[int, bytes] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)


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
        return inlined(json.loads(self.text), self.named)

    def check(self) -> None:
        """Raise whatever is wrong with the schema."""
        _ = self._judge, self._container  # which are kept

    def messages(self, bodies: Sequence[bytes]) -> Messages:
        """What messages hold; what one comes out as does not depend on the others."""
        everything = range(len(bodies))
        columns = self.read(bodies)
        if columns is not None:
            return Messages(everything, columns)
        outcome = Messages()
        rest: Sequence[int] = everything
        if self._container:
            sound = [place for place in everything if self._is_sound(bodies[place])]
            parts = self._in_columns(bodies, sound)
            if parts:
                outcome.places = [place for places, _ in parts for place in places]
                outcome.columns = pl.concat([frame for _, frame in parts])
            rest = sorted(set(everything) - set(outcome.places))
        values = {}
        for place in rest:
            try:
                values[place] = self.read_one(bodies[place])
            except BrokenMessage as broken:
                outcome.broken[place] = str(broken)
        outcome.lines = dict(zip(values, self._lines(list(values.values())), strict=True))
        return outcome

    def read_one(self, body: bytes) -> Any:
        """One message in the shape of columns: a map is a list of pairs; BrokenMessage when it is none."""
        value = _read(body, self._judge)
        for name in self._of_bytes:
            try:
                (value[name] or b"").decode()
            except UnicodeDecodeError:
                raise BrokenMessage(f"{name}: the bytes are not UTF-8") from None
        return value

    def read(self, bodies: Sequence[bytes]) -> pl.DataFrame | None:
        """Messages as columns, a field each; None when they do not come out as they should."""
        if not self._container:
            return None
        try:
            return _decoded(bodies, self._container, self._whole)
        except _FAILURES:
            return None

    def _in_columns(self, bodies: Sequence[bytes], places: Sequence[int]) -> list[tuple[Sequence[int], pl.DataFrame]]:
        """Columns of those messages that have any, in order, with their places: halved until what has none is alone."""
        if not places:
            return []
        columns = self.read([bodies[place] for place in places])
        if columns is not None:
            return [(places, columns)]
        half = len(places) // 2
        return (
            [part for side in (places[:half], places[half:]) for part in self._in_columns(bodies, side)] if half else []
        )

    def _is_sound(self, body: bytes) -> bool:
        """Whether a message ends where its bytes say, whatever they stand for."""
        try:
            _read(body, self._bare)
        except BrokenMessage:
            return False
        return True

    def _lines(self, values: Sequence[Any]) -> list[bytes]:
        """Messages as JSON, with the text that columns would have."""
        if not values or not self._is_record:
            return [json.dumps(value, default=plain).encode() for value in values]
        texts = {name: _texts([value[name] for value in values], dtype) for name, dtype in self._types.items()}
        return join_objects(texts, has=all_of(value=True, height=len(values))).cast(pl.Binary).to_list()

    @cached_property
    def _is_record(self) -> bool:
        return isinstance(self.parsed, dict) and self.parsed.get("type") == "record"

    @cached_property
    def _judge(self) -> Any:
        return fastavro.parse_schema(paired(self.parsed))

    @cached_property
    def _whole(self) -> Any:
        return expanded(self.parsed)

    @cached_property
    def _readable(self) -> Any:
        return readable(self._whole)

    @cached_property
    def _bare(self) -> Any:
        return fastavro.parse_schema(without_logical(self._readable))

    @cached_property
    def _container(self) -> bytes:
        """The schema of the container; empty where no columns hold its messages."""
        try:
            return _container_of(self._readable) if self._is_record else b""
        except (NoColumns, RecursionError):
            return b""

    @cached_property
    def _types(self) -> dict[str, Any]:
        """The types of the columns of fields; None of one that has no column."""
        try:
            fields = self._whole["fields"]
        except (NoColumns, RecursionError):
            return {each["name"]: None for each in self.parsed["fields"]}
        return {each["name"]: _type_of(each) for each in fields}

    @cached_property
    def _of_bytes(self) -> list[str]:
        return [name for name, dtype in self._types.items() if dtype == pl.Binary] if self._is_record else []


def _read(body: bytes, schema: Any) -> Any:
    handle = io.BytesIO(body)
    try:
        value = fastavro.schemaless_reader(handle, schema, None)
    except Exception as error:  # noqa: BLE001  # fastavro raises whatever it trips over
        raise BrokenMessage(str(error) or type(error).__name__) from None
    if handle.tell() != len(body):
        raise BrokenMessage(f"{len(body) - handle.tell()} bytes follow its end")
    return value


def _decoded(bodies: Sequence[bytes], container: bytes, whole: Any) -> pl.DataFrame | None:
    found = pl.read_avro(io.BytesIO(glued(bodies, container)))
    index = np.arange(1.0, len(bodies) + 1)
    if found.height != len(bodies) or not np.array_equal(found[_INDEX].to_numpy(), index):
        return None
    return found.select(restored(pl.col(_VALUE), whole).alias(_VALUE)).unnest(_VALUE)


def _type_of(member: Any) -> Any:
    """The type of the column of a field; None where there is none."""
    alone = {"type": "record", "name": "Alone", "fields": [member]}
    try:
        found = _decoded([], _container_of(readable(alone)), alone)
    except NoColumns:
        return None
    return None if found is None else found.dtypes[0]


def _texts(values: Sequence[Any], dtype: Any) -> pl.Series:
    """JSON text of values of one field, as that of a column of this type; of a value that no column holds, its own."""
    if dtype is not None:
        try:
            text, quoted = text_of(pl.Series(values, dtype=dtype, strict=True))
            return json_text(Cells(text, all_of(quoted, len(values))))
        except (*_FAILURES, TypeError, OverflowError):
            if len(values) > 1:
                return pl.concat([_texts([value], dtype) for value in values])
    texts = [None if value is None else json.dumps(value, default=plain) for value in values]
    return pl.Series(texts, dtype=pl.String)


def _container_of(schema: Any) -> bytes:
    fields = [{"name": _VALUE, "type": schema}, {"name": _INDEX, "type": "double"}]
    return json.dumps({"type": "record", "name": "Glued", "fields": fields}).encode()


def glued(bodies: Sequence[bytes], schema: bytes) -> bytes:
    """A container of one block: messages with their number after each, from 1 on: a zero could be of the message."""
    index = np.arange(1.0, len(bodies) + 1, dtype="<f8").tobytes()
    places = range(0, len(index), 8)
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
