"""Decoding: flat JSON and CSV, nested rows, order lines, a GA4 export, Avro by its framing, beside fastavro.

Flat JSON also with the native pass, if it is installed.
"""

import io
import json
import os
import random
import statistics
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import fastavro
import polars as pl

from benchmarks.measure import cpu_of, table
from ecompulse.io.payloads.avro import AvroSchema
from ecompulse.io.payloads.payload import Payload
from ecompulse.io.payloads.registry import Registered, Registry
from ecompulse.kernels.decode import decode, native
from ecompulse.kernels.event import HEADER, RAW_SCHEMA
from ecompulse.kernels.foreign.dialect import marked
from ecompulse.kernels.mapping import Mapping, load_mapping, parse_mapping

ROWS: Final = 50_000
LINES: Final = 4  # of an order
TIMES: Final = 7
NOW: Final = 1_750_000_000_000
FIELDS: Final = (
    "event_id",
    "event_type",
    "event_time",
    "user_id",
    "product_id",
    "price",
    "quantity",
    "currency",
    "url",
)

NESTED: Final = """
fields: {event_id: id, event_type: kind, event_time: at, user_id: user.id, url: context.page.url, product_id: item.sku,
  price: item.price, quantity: item.quantity, currency: item.currency}
"""
ORDERS: Final = """
fields: {event_id: id, event_time: at, user_id: user.id}
constants: {event_type: purchase}
events:
  - {explode: "items[]", fields: {product_id: "items[].sku", price: "items[].price", quantity: "items[].quantity"}}
"""
SCHEMA: Final = {"type": "record", "name": "Event", "fields": [
    *({"name": name, "type": "string"} for name in ("event_id", "event_type")),
    {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    *({"name": name, "type": "string"} for name in ("user_id", "product_id")),
    {"name": "price", "type": "double"}, {"name": "quantity", "type": "int"},
    {"name": "currency", "type": ["null", "string"]}, {"name": "url", "type": "string"},
]}  # fmt: skip


class _OneSchema(Registry):
    """A registry that has one schema, and is asked for nothing."""

    def schema(self, key: int | str) -> Registered:
        """The schema."""
        del key
        return Registered("AVRO", json.dumps(SCHEMA))


def run() -> None:
    """Print CPU seconds and rates, medians of several runs that take turns."""
    cases = _cases()
    times: dict[str, list[float]] = {name: [] for name in cases}
    events: dict[str, int] = {}
    for _ in range(TIMES):
        for name, body in cases.items():
            made: list[int] = []
            times[name].append(cpu_of(lambda body=body, made=made: made.append(body())))  # type: ignore[misc]  # bound now
            events[name] = made[0]
    usual = events["flat JSON"] / statistics.median(times["flat JSON"])
    rows = []
    for name, found in times.items():
        rate = events[name] / statistics.median(found)
        rows.append(
            (name, f"{events[name]:,}", f"{statistics.median(found):.3f}", f"{rate:,.0f}", f"{rate / usual:.2f}")
        )
    table(("rows", "events", "CPU s", "events per CPU-s", "of flat JSON"), rows)


def _cases() -> dict[str, Callable[[], int]]:
    rng = random.Random(7)  # no secret
    flat = [_event(rng, number) for number in range(ROWS)]
    nested = [_within(event) for event in flat]
    orders = [_order(rng, number) for number in range(ROWS // LINES)]
    exported = [_exported(event, number) for number, event in enumerate(flat)]
    header = marked(",".join(FIELDS), ",", '"')
    records = [",".join(str(event[name]) for name in FIELDS).encode() for event in flat]
    bodies = [_avro(event) for event in flat]
    payload = Payload("avro", _OneSchema("http://none"))
    framed = _frame([b"\0" + struct.pack(">I", 1) + body for body in bodies])
    return {
        "flat JSON": partial(_json, _frame(_lines(flat)), "0"),
        **({"flat JSON, native": partial(_json, _frame(_lines(flat)), "1")} if native.INTERFACE else {}),
        "flat CSV": partial(_decoded, _frame(records).with_columns(pl.lit(header).alias(HEADER)), None),
        "nested JSON": partial(_decoded, _frame(_lines(nested)), parse_mapping(NESTED)),
        "order lines": partial(_decoded, _frame(_lines(orders)), parse_mapping(ORDERS)),
        "GA4 export": partial(_decoded, _frame(_lines(exported)), load_mapping("ga4")),
        "Avro, framed": lambda: sum(_decoded(rows, None) for rows in payload.rows(framed, [None] * ROWS, ())),
        "Avro to columns only": partial(_columns, bodies),
        "Avro by fastavro only": partial(_one_by_one, bodies),
    }


def _decoded(rows: pl.DataFrame, mapping: Mapping | None) -> int:
    found = decode(rows, NOW, mapping)
    if found.dead.height:
        raise RuntimeError(found.dead["message"][0])
    return found.events.height


def _json(rows: pl.DataFrame, way: str) -> int:
    os.environ[native.SWITCH] = way
    return _decoded(rows, None)


def _columns(bodies: Sequence[bytes]) -> int:
    found = AvroSchema(json.dumps(SCHEMA), {}).read(bodies)
    return 0 if found is None else found.height


def _one_by_one(bodies: Sequence[bytes]) -> int:
    schema = AvroSchema(json.dumps(SCHEMA), {})
    return sum(1 for body in bodies if schema.read_one(body))


def _event(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "event_type": rng.choice(("page_view", "add_to_cart", "purchase")),
        "event_time": f"2024-05-01T{number % 24:02d}:{number % 60:02d}:00Z", "user_id": f"u{rng.randrange(5000)}",
        "product_id": f"p{rng.randrange(900)}", "price": rng.randrange(9000) / 100, "quantity": 1 + number % 3,
        "currency": "EUR", "url": f"https://shop.example/p/{number % 311}",
    }  # fmt: skip


def _within(event: dict[str, Any]) -> dict[str, Any]:
    item = {"sku": event["product_id"], **{name: event[name] for name in ("price", "quantity", "currency")}}
    user, context = {"id": event["user_id"]}, {"page": {"url": event["url"]}}
    return {"id": event["event_id"], "kind": event["event_type"], "at": event["event_time"], "user": user,
            "context": context, "item": item}  # fmt: skip


def _order(rng: random.Random, number: int) -> dict[str, Any]:
    items = [{"sku": f"p{rng.randrange(900)}", "price": 1.5, "quantity": 2} for _ in range(LINES)]
    return {"id": number, "at": "2024-05-01T10:00:00Z", "user": {"id": f"u{number % 97}"}, "items": items}


def _exported(event: dict[str, Any], number: int) -> dict[str, Any]:
    def parameter(key: str, text: str | None, whole: str | None) -> dict[str, Any]:
        return {"key": key, "value": {"string_value": text, "int_value": whole}}

    parameters = [parameter("page_location", event["url"], None), parameter("ga_session_id", None, str(number % 9))]
    return {"event_timestamp": str(1_714_557_600_000_000 + number), "event_name": "page_view",
            "user_pseudo_id": event["user_id"], "event_params": parameters, "items": []}  # fmt: skip


def _avro(event: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, {**event, "event_time": 1_714_557_600_000})
    return out.getvalue()


def _lines(rows: Sequence[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(row).encode() for row in rows]


def _frame(raw: Sequence[bytes]) -> pl.DataFrame:
    place = {"source": "b", "source_partition": 0, "source_offset": range(len(raw))}
    return pl.DataFrame({"raw": raw, **place}, schema=RAW_SCHEMA)
