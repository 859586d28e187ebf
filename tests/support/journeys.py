"""Streams of visitors' events for the journey kernels, and runs of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

from ecompulse.kernels.event import TIME
from ecompulse.kernels.sessions.kernel import Sessionize, prepare
from ecompulse.kernels.sessions.schemas import BASE_SCHEMA, CONTACT_SCHEMA
from support.harness import run_kernel
from support.streams import BASE, arrivals

MINUTE = 60_000
SCHEMA = pl.Schema({**BASE_SCHEMA, **CONTACT_SCHEMA})
MONEY = (
    st.none()
    | st.integers(0, 500).map(lambda cents: Decimal(cents) / 100)
    | st.sampled_from([Decimal("70368744177.6643"), Decimal("0.0001")])  # which no float adds up
)
TYPES = (
    "page_view",
    "product_view",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "checkout_start",
    "purchase",
    "login",
)


def stream(
    types: Sequence[str] = TYPES, *, span: int = 3 * 3_600_000, **kwargs: Any
) -> st.SearchStrategy[pl.DataFrame]:
    """Disordered arrivals of three visitors; optional fields are often null."""
    text = st.none() | st.sampled_from(["a", "b"])
    fields: Mapping[str, st.SearchStrategy[object]] = {
        "event_type": st.sampled_from(types),
        "anonymous_id": st.sampled_from(["v1", "v2", "v3"]),
        "user_id": text,
        "product_id": st.none() | st.sampled_from(["p1", "p2", "p3"]),
        "quantity": st.none() | st.integers(0, 3),
        "price": MONEY,
        "amount": MONEY,
        "order_id": st.none() | st.sampled_from(["o1", "o2"]),
        "url": st.none() | st.sampled_from(["https://x/a?q=1", "https://x/a", "/b#top", "https://x"]),
        "brand": text,
        "category": text,
        "query": text,
    }
    return arrivals(fields, span=span, **kwargs).map(dressed)


def dressed(frame: pl.DataFrame) -> pl.DataFrame:
    """The harness fills columns of the event; those that enrichment adds are taken from some of them."""
    return frame.select(
        *[name for name in SCHEMA if name in frame.columns],
        visitor="anonymous_id",
        channel="brand",
        device="category",
        country="query",
        price_base="price",
        amount_base=pl.when(pl.col("event_type") == "purchase").then("amount"),
    ).select(SCHEMA.names())


def told(*events: tuple[Any, ...], visitor: str = "v") -> pl.DataFrame:
    """Events of one visitor in arrival order: (minutes, type) or (minutes, type, {field: value})."""
    rows = []
    for number, (minutes, kind, *more) in enumerate(events):
        row: dict[str, Any] = dict.fromkeys(SCHEMA)
        row.update(event_id=f"{visitor}{number}", event_type=kind, visitor=visitor, source="test", source_partition=0)
        row.update(source_offset=number, event_time=BASE + round(minutes * MINUTE), **(more[0] if more else {}))
        rows.append(row)
    frame = pl.DataFrame(rows, schema={**SCHEMA, "event_time": pl.Int64()}, orient="row")
    return frame.with_columns(pl.col("event_time").cast(TIME))


def run(kernel: Sessionize, frame: pl.DataFrame, **kwargs: Any) -> dict[str, pl.DataFrame]:
    """Outputs over a stream; the last watermark is stepped at before the drain, as the driver does."""
    cuts = [*kwargs.pop("cuts", ()), frame.height]
    return run_kernel(kernel, prepare(frame, kernel), cuts=cuts, **kwargs)


def at(minutes: float) -> datetime:
    """Event time."""
    return datetime.fromisoformat("2023-11-14T22:13:20+00:00") + timedelta(minutes=minutes)
