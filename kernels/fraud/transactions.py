"""Which events are transactions, and which of their columns the features use."""

from typing import Final, Literal

import polars as pl

from ecompulse.kernels.event import MONEY, ORDER
from ecompulse.kernels.fraud.entity import TRANSACTION_SCHEMA
from ecompulse.kernels.rows import line_amount

Kind = Literal["payment", "purchase"]

EVENT_COLUMNS: Final = pl.Schema(
    {
        "event_id": pl.String(),
        "order_id": pl.String(),
        "payment_id": pl.String(),
        "device_id": pl.String(),
        "ip": pl.String(),
        "card_id": pl.String(),
        "merchant_id": pl.String(),
        "country": pl.String(),
        "quantity": pl.Int64(),
        "price": MONEY,
        "amount": MONEY,
        "price_base": MONEY,
        "amount_base": MONEY,
        "geo_latitude": pl.Float64(),
        "geo_longitude": pl.Float64(),
    }
)
"""Columns of an enriched event that transactions are made of, beside those of identity."""

SIGNUP: Final = "user_signup_time"
"""When the user signed up, if a look-up or an update stream says so: a time, or epoch ms, or ISO 8601."""

_MINOR: Final = 10_000


def transactions(events: pl.DataFrame, kind: Kind, *, based: bool) -> pl.DataFrame:
    """Events with `visitor` as transactions (TRANSACTION_SCHEMA); other types of event give none.

    The id of a payment is `payment_id`, else `order_id`, else `event_id`; that of a purchase is `order_id`, else
    `event_id`. `based`: amounts are those in the base currency, null where there is no rate; else as they are.
    Enrichment that is missing is null.
    """
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in events.columns]
    rows = events.with_columns(absent).filter(pl.col("event_type") == kind)
    ids = ["payment_id", "order_id", "event_id"] if kind == "payment" else ["order_id", "event_id"]
    end = "_base" if based else ""
    amount, line = pl.col(f"amount{end}"), line_amount(pl.col(f"price{end}"), pl.col("quantity").fill_null(1))
    amount = pl.coalesce(amount, line) if kind == "payment" else pl.coalesce(line, amount)
    return rows.select(
        *ORDER,
        "order_id",
        "visitor",
        "user_id",
        "device_id",
        "ip",
        "card_id",
        "merchant_id",
        "country",
        transaction_id=pl.coalesce(ids),
        latitude="geo_latitude",
        longitude="geo_longitude",
        minor=(amount.cast(pl.Decimal(38, 4)) * _MINOR).cast(pl.Int64),
        signup=_signup(rows),
    ).select(TRANSACTION_SCHEMA.names())


def _signup(rows: pl.DataFrame) -> pl.Expr:
    """UTC ms; null when unknown or unreadable."""
    column = pl.col(SIGNUP)
    dtype = rows.schema.get(SIGNUP)
    if dtype is None:
        return pl.lit(None, pl.Int64)
    if isinstance(dtype, pl.Datetime):
        return column.dt.epoch("ms")
    if dtype == pl.String():
        moment = column.str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False)
        return pl.coalesce(moment.dt.epoch("ms"), column.cast(pl.Int64, strict=False))
    return column.cast(pl.Int64, strict=False)


def uses(schema: pl.Schema) -> pl.Schema:
    """Columns that an event of this schema must carry."""
    signup = {SIGNUP: schema[SIGNUP]} if SIGNUP in schema else {}
    return pl.Schema({**EVENT_COLUMNS, **signup})
