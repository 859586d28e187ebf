"""The event: its fields, declared once; frames, decoding, JSON Schema and documentation follow from here."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import polars as pl

MONEY: Final = pl.Decimal(18, 4)
MONEY_LIMIT: Final = 10**14
"""Money is below it, and above its negative."""

"""Every amount of money: 14 digits before the point, 4 after."""

TIME: Final = pl.Datetime("ms", "UTC")
"""Every time: UTC, milliseconds."""

MAX_FIELD_BYTES: Final = 64 * 1024
MAX_ROW_BYTES: Final = 1024 * 1024
KEPT_ROW_BYTES: Final = 64 * 1024
"""Of a row that is larger, a dead letter keeps so many of its first bytes."""
MIN_EVENT_TIME_MS: Final = 631_152_000_000  # 1990-01-01T00:00:00Z
MAX_FUTURE_MS: Final = 5 * 60 * 1000


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    MONEY = "money"
    INTEGER = "integer"
    TIME = "time"
    OBJECT = "object"


DTYPES: Final[dict[Kind, Any]] = {
    Kind.TEXT: pl.String(),
    Kind.MONEY: MONEY,
    Kind.INTEGER: pl.Int64(),
    Kind.TIME: TIME,
    Kind.OBJECT: pl.String(),  # JSON text
}


@dataclass(frozen=True)
class Field:
    """One field of the event."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    help: str = ""
    values: tuple[str, ...] = ()
    """Values known for this field; another one is kept and counted, never refused."""
    example: str = ""


EVENT_TYPES: Final = (
    "page_view", "product_view", "search", "add_to_cart", "remove_from_cart", "checkout_start",
    "purchase", "payment", "refund", "login", "logout", "signup",
)  # fmt: skip

PAYMENT_STATUSES: Final = ("authorized", "captured", "failed", "refunded")

FIELDS: Final[tuple[Field, ...]] = (
    Field("event_id", required=True, help="unique per event; a retry repeats it", example="e-000001"),
    Field("event_type", required=True, values=EVENT_TYPES, help="what happened", example="purchase"),
    Field(
        "event_time",
        Kind.TIME,
        required=True,
        help="when it happened: ISO 8601 with zone, or epoch milliseconds",
        example="2025-03-01T10:00:00Z",
    ),
    Field("user_id", help="the signed-in user; this or anonymous_id is required"),
    Field("anonymous_id", help="the device's or browser's own id; this or user_id is required"),
    Field("session_id", help="the shop's own session"),
    Field("device_id", help="the device, as the shop knows it"),
    Field("product_id", help="what was looked at, put in the cart or bought", example="p-4711"),
    Field("category", help="category of the product: dotted path, widest first", example="shoes.running"),
    Field("brand", help="brand of the product"),
    Field("quantity", Kind.INTEGER, help="pieces of the line", example="2"),
    Field("price", Kind.MONEY, help="per unit, in `currency`", example="59.9000"),
    Field("discount", Kind.MONEY, help="of the line, in `currency`"),
    Field("currency", help="currency of the amounts, ISO 4217", example="EUR"),
    Field("order_id", help="the order; its lines, payment and refunds share it"),
    Field("payment_id", help="the payment"),
    Field("payment_status", values=PAYMENT_STATUSES, help="what became of the payment"),
    Field("payment_method", help="how it was paid", example="card"),
    Field("card_id", help="a token, never a card number"),
    Field("merchant_id", help="who sells, on a marketplace"),
    Field("amount", Kind.MONEY, help="of a payment or refund, in `currency`"),
    Field("tax", Kind.MONEY, help="tax of the payment, in `currency`"),
    Field("shipping", Kind.MONEY, help="cost of shipping, in `currency`"),
    Field("ip", help="IPv4 or IPv6 address of the visitor", example="203.0.113.7"),
    Field("user_agent", help="the HTTP header of that name"),
    Field("url", help="address of the page"),
    Field("referrer", help="address of the page before, as the browser says"),
    Field("query", help="what was searched for"),
    Field("properties", Kind.OBJECT, help="everything else; unknown fields are put here"),
)

BY_NAME: Final = {field.name: field for field in FIELDS}

EVENT_SCHEMA: Final = pl.Schema({field.name: DTYPES[field.kind] for field in FIELDS})

POSITION_SCHEMA: Final = pl.Schema({"source": pl.String(), "source_partition": pl.Int32(), "source_offset": pl.Int64()})
"""Where a row was read: file or topic, source partition, position. Total order of rows of equal time."""

FRAME_SCHEMA: Final = pl.Schema({**EVENT_SCHEMA, **POSITION_SCHEMA})
"""Columns of a batch of decoded events, in this order."""

RAW_SCHEMA: Final = pl.Schema({"raw": pl.Binary(), **POSITION_SCHEMA})
"""Columns of a batch as read, before decoding: one row per message, line or record."""

HEADER: Final = "header"
LENGTH: Final = "length"
"""Columns that rows as read may have besides: the header of their CSV file, the same in every row of a batch; the bytes
of a row of which `raw` holds only the first, because it is too large."""

TAKEN: Final = frozenset((*RAW_SCHEMA, HEADER, LENGTH))
OWN: Final = "\x00"
"""What a column of a file has before its name where that is TAKEN by rows as read, or begins with it."""

DEAD_LETTER_SCHEMA: Final = pl.Schema(
    {"raw": pl.Binary(), **POSITION_SCHEMA, "rule": pl.String(), "message": pl.String(), "seen_at": TIME}
)

STORED_LETTER_SCHEMA: Final = pl.Schema({"id": pl.String(), **DEAD_LETTER_SCHEMA, "protected": pl.Boolean()})
"""A dead letter as it is stored; `protected`: the privacy policy changed `raw`, which is not what was read."""

FAULT: Final = "fault"
"""Column of rows that each stand for a file which cannot be read: what is wrong with it."""
PAYLOAD_FAULT: Final = "payload_fault"
"""Column of messages that are none of their schema: what is wrong with each."""
SCHEMA_ID: Final = "\x00schema"
"""Column that names the schema of messages, for what is said of those that break a rule; no field of anything."""
KAFKA: Final = "_kafka"
"""Key under which rows have what Kafka says of them, where a mapping asks for it: key, headers, timestamp, topic."""

ORDER: Final = ("event_time", "source", "source_partition", "source_offset")
"""The total order that every kernel sorts by first."""
