"""What payloads of messages are, and how a frame of them becomes rows that decoding knows."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, Literal, cast

import polars as pl

from ecompulse.io.files.parquet import own_name
from ecompulse.io.payloads.avro import AvroSchema, judged
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
        try:
            found = self.registry.schema(key)
        except UnknownSchema as error:
            yield _faults(frame, [f"schema {key}: {error}"] * frame.height)
            return
        messages = cast("Sequence[bytes]", bodies)
        if found.kind == AVRO:
            yield from _avro(found, key, frame, messages, told)
        elif found.kind == PROTOBUF:
            from ecompulse.io.payloads.protobuf import reader_of  # noqa: PLC0415  # slow to import

            try:
                read = reader_of(self.registry, key)
            except UnknownSchema as error:
                yield _faults(frame, [f"schema {key}: {error}"] * frame.height)
                return
            yield from _one_by_one(read, key, frame, messages, told)
        else:
            raw = [_spliced(body, more) for body, more in zip(messages, told, strict=True)] if told else messages
            yield _marked(frame.with_columns(raw=pl.Series(raw, dtype=pl.Binary)), key)


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
    found: Registered, key: int | str, frame: pl.DataFrame, bodies: Sequence[bytes], told: Sequence[bytes]
) -> Iterator[pl.DataFrame]:
    schema = _parsed(found)
    columns = schema.read(bodies)
    if columns is not None:
        yield _typed(frame, columns, key, told)
        return
    yield from _one_by_one(schema.read_one, key, frame, bodies, told, schema)


def _one_by_one(
    read: Callable[[bytes], Any],
    key: int | str,
    frame: pl.DataFrame,
    bodies: Sequence[bytes],
    told: Sequence[bytes],
    schema: AvroSchema | None = None,
) -> Iterator[pl.DataFrame]:
    """Messages each by itself: broken ones are faults; the others columns if they come out so, else JSON."""
    good: list[int] = []
    values: list[Any] = []
    bad: list[int] = []
    faults: list[str] = []
    for place, value, why in judged(bodies, read):
        if why:
            bad.append(place)
            faults.append(f"schema {key}: {why}")
        else:
            good.append(place)
            values.append(value)
    if bad:
        yield _faults(frame[pl.Series(bad, dtype=pl.Int64)], faults)
    if not good:
        return
    rest, more = frame[pl.Series(good, dtype=pl.Int64)], [told[place] for place in good] if told else []
    columns = schema.read([bodies[place] for place in good]) if schema and bad else None
    if columns is not None:
        yield _typed(rest, columns, key, more)
        return
    lines = [json.dumps(value, default=_plain).encode() for value in values]
    raw = [_spliced(line, each) for line, each in zip(lines, more, strict=True)] if more else lines
    yield _marked(rest.with_columns(raw=pl.Series(raw, dtype=pl.Binary)), key)


def _typed(frame: pl.DataFrame, columns: pl.DataFrame, key: int | str, told: Sequence[bytes]) -> pl.DataFrame:
    named = columns.rename({name: own_name(name) for name in columns.columns})
    if told:
        named = named.with_columns(pl.Series(KAFKA, [more.decode() for more in told], dtype=pl.String))
    return _marked(frame.drop("raw").hstack(named), key)


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
    key = (found.text, json.dumps(dict(found.named), sort_keys=True))
    if key not in _avro_schemas:
        named = {name: json.loads(text) for name, text in found.named.items()}
        _avro_schemas[key] = AvroSchema(found.text, named)
    return _avro_schemas[key]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value) if isinstance(value, Decimal) else repr(value)
