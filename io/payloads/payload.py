"""What payloads of messages are, and how a frame of them becomes rows that decoding knows."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import polars as pl

from ecompulse.io.files.parquet import own_name
from ecompulse.io.payloads.avro import AvroSchema, BrokenMessage
from ecompulse.io.payloads.framing import HEADER, PREFIX, Headers, framed
from ecompulse.io.payloads.registry import AVRO, PROTOBUF, Registered, Registry, UnknownSchema
from ecompulse.kernels.event import KAFKA, PAYLOAD_FAULT, SCHEMA_ID

Format = Literal["json", "avro", "json_schema", "protobuf"]
FORMATS: Final[tuple[Format, ...]] = ("json", "avro", "json_schema", "protobuf")


@dataclass(frozen=True)
class Payload:
    """How messages are written.

    Attributes:
        form: of their values.
        registry: of their schemas; None where they need none.
        told: what Kafka says of a message is there too, as `_kafka`.
    """

    form: Format = "json"
    registry: Registry | None = None
    told: bool = False

    @property
    def needs_more(self) -> bool:
        """Whether more than the values of records is needed to read them."""
        return self.form != "json" or self.told

    def rows(self, frame: pl.DataFrame, headers: Sequence[Headers], told: Sequence[bytes]) -> Iterator[pl.DataFrame]:
        """Rows of messages (`RAW_SCHEMA`), each in one of the frames: JSON, columns, or faults.

        `told`: what Kafka says of each, as JSON; empty where nobody asks.
        """
        values: list[bytes | None] = frame["raw"].to_list()
        if self.form == "json":
            raw = [_spliced(value, more) for value, more in zip(values, told, strict=True)] if told else values
            yield frame.with_columns(raw=pl.Series(raw, dtype=pl.Binary))
            return
        for key, rows, messages in _by_schema(frame["raw"], headers):
            chosen = frame if rows.len() == frame.height else frame[rows]
            yield from self._of_schema(key, chosen, messages, [told[row] for row in rows] if told else [])

    def _of_schema(
        self, key: int | str | None, frame: pl.DataFrame, bodies: Sequence[bytes | str], told: Sequence[bytes]
    ) -> Iterator[pl.DataFrame]:
        if key is None or self.registry is None:
            yield _faults(frame, [str(why) for why in bodies])
            return
        messages = cast("Sequence[bytes]", bodies)
        try:
            found = self.registry.schema(key)
            if found.kind == AVRO:
                yield from _avro(_parsed(found), key, frame, messages, told)
            elif found.kind == PROTOBUF:
                from ecompulse.io.payloads.protobuf import reader_of  # noqa: PLC0415  # slow to import

                yield from _one_by_one(reader_of(self.registry, key), key, frame, messages, told)
            else:
                yield from _untyped(dict(enumerate(messages)), {}, key, frame, told)
        except UnknownSchema as error:
            yield _faults(frame, [f"schema {key}: {error}"] * frame.height)


def _by_schema(
    raw: pl.Series, headers: Sequence[Headers]
) -> Iterator[tuple[int | str | None, pl.Series, Sequence[bytes | str]]]:
    """Messages by their schema: its key, their rows, their bodies; of those that name none, key None and why."""
    named = {row for row, found in enumerate(headers) if found and any(name == HEADER for name, _ in found)}
    rows = pl.int_range(raw.len(), eager=True, dtype=pl.Int64)
    usual = raw.bin.starts_with(b"\0") & (raw.bin.size() >= PREFIX)
    if named:
        usual &= ~rows.is_in(list(named))
    usual = usual.fill_null(value=False)
    ids = raw.filter(usual).bin.slice(1, PREFIX - 1).bin.reinterpret(dtype=pl.UInt32, endianness="big")
    for number in ids.unique(maintain_order=True):
        chosen = rows.filter(usual).filter(ids == number)
        bodies = (raw if chosen.len() == raw.len() else raw.gather(chosen)).bin.slice(PREFIX)
        yield int(number), chosen, bodies.to_list()
    odd: dict[int | str | None, tuple[list[int], list[bytes | str]]] = {}
    for row in rows.filter(~usual):
        message = framed(raw[row], headers[row])
        places, said = odd.setdefault(message.key, ([], []))
        places.append(row)
        said.append(message.body if message.key is not None else message.why)
    for key, (places, found) in odd.items():
        yield key, pl.Series(places, dtype=pl.Int64), found


def _avro(
    schema: AvroSchema, key: int | str, frame: pl.DataFrame, bodies: Sequence[bytes], told: Sequence[bytes]
) -> Iterator[pl.DataFrame]:
    messages = schema.messages(bodies)
    if messages.columns is not None:
        yield from _typed(
            _at(frame, messages.places), messages.columns, key, [told[at] for at in messages.places if told]
        )
    yield from _untyped(messages.lines, messages.broken, key, frame, told)


def _one_by_one(
    read: Callable[[bytes], Any], key: int | str, frame: pl.DataFrame, bodies: Sequence[bytes], told: Sequence[bytes]
) -> Iterator[pl.DataFrame]:
    """Messages each by itself, as JSON; broken ones are faults."""
    lines, broken = {}, {}
    for place, body in enumerate(bodies):
        try:
            lines[place] = json.dumps(read(body)).encode()
        except BrokenMessage as error:
            broken[place] = str(error)
    yield from _untyped(lines, broken, key, frame, told)


def _untyped(
    lines: Mapping[int, bytes], broken: Mapping[int, str], key: int | str, frame: pl.DataFrame, told: Sequence[bytes]
) -> Iterator[pl.DataFrame]:
    """Messages that are JSON, and those that are faults, by their places in a frame."""
    if broken:
        yield _faults(_at(frame, list(broken)), [f"schema {key}: {why}" for why in broken.values()])
    if lines:
        raw = [_spliced(line, told[place]) if told else line for place, line in lines.items()]
        yield _marked(_at(frame, list(lines)).with_columns(raw=pl.Series(raw, dtype=pl.Binary)), key)


def _at(frame: pl.DataFrame, places: Sequence[int]) -> pl.DataFrame:
    return frame if len(places) == frame.height else frame[pl.Series(places, dtype=pl.Int64)]


def _typed(frame: pl.DataFrame, columns: pl.DataFrame, key: int | str, told: Sequence[bytes]) -> Iterator[pl.DataFrame]:
    if told and KAFKA in columns.columns:
        yield _faults(
            frame, [f"schema {key}: its field {KAFKA} has the name of what Kafka says of a message"] * frame.height
        )
        return
    named = columns.rename({name: own_name(name) for name in columns.columns})
    if told:
        named = named.with_columns(pl.Series(KAFKA, [more.decode() for more in told], dtype=pl.String))
    yield _marked(frame.drop("raw").hstack(named), key)


def _marked(frame: pl.DataFrame, key: int | str) -> pl.DataFrame:
    return frame.with_columns(pl.lit(str(key)).alias(SCHEMA_ID))


def _faults(frame: pl.DataFrame, why: Sequence[str]) -> pl.DataFrame:
    return frame.with_columns(pl.Series(PAYLOAD_FAULT, why, dtype=pl.String))


def _spliced(value: bytes | None, more: bytes) -> bytes | None:
    """A JSON object with what Kafka says of it; anything else as it is."""
    text = (value or b"").lstrip()
    if not text.startswith(b"{"):
        return value
    rest = text[1:].lstrip()
    return b'{"' + KAFKA.encode() + b'":' + more + (b"" if rest.startswith(b"}") else b",") + rest


_avro_schemas: dict[tuple[str, str], AvroSchema] = {}


def _parsed(found: Registered) -> AvroSchema:
    """UnknownSchema where what the registry has is none."""
    key = (found.text, json.dumps(dict(found.named), sort_keys=True))
    if key not in _avro_schemas:
        try:
            named = {name: json.loads(text) for name, text in found.named.items()}
            schema = AvroSchema(found.text, named)
            schema.check()
        except Exception as error:  # noqa: BLE001  # fastavro and we raise whatever we trip over
            raise UnknownSchema(f"is no Avro schema: {type(error).__name__}: {error}") from None
        _avro_schemas[key] = schema
    return _avro_schemas[key]
