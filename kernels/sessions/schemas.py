"""Input columns, state tables and output schemas of the journey kernel."""

from typing import Final

import polars as pl

from ecompulse.kernels.event import FRAME_SCHEMA, MONEY, TIME
from ecompulse.kernels.step import OrderedList, Table

DIMENSIONS: Final = ("channel", "device", "country")
"""Enrichment columns that describe a session; absent ones are null."""

BASE_SCHEMA: Final = pl.Schema(
    {
        **{name: FRAME_SCHEMA[name] for name in ("event_id", "event_type", "event_time")},
        **{name: FRAME_SCHEMA[name] for name in ("source", "source_partition", "source_offset")},
        "visitor": pl.String(),
        **{name: FRAME_SCHEMA[name] for name in ("product_id", "quantity", "order_id", "url")},
        **{name: pl.String() for name in DIMENSIONS},
        "price_base": MONEY,
        "amount_base": MONEY,
    }
)
"""Columns that sessions and funnels need."""

CONTACT_SCHEMA: Final = pl.Schema({name: FRAME_SCHEMA[name] for name in ("user_id", "anonymous_id")})
"""Columns that abandonment needs besides."""

PENDING: Final = "pending"
OPEN: Final = "open"

COUNTED: Final = {
    "page_views": "page_view",
    "product_views": "product_view",
    "carts": "add_to_cart",
    "checkouts": "checkout_start",
    "purchases": "purchase",
}
"""Session columns that count one event type each."""

STAGES: Final = ("product_view", "add_to_cart", "checkout_start", "purchase")
"""Stages of `furthest_stage`, nearest first."""

MAX_DISTINCT: Final = 65_536
"""Most distinct products (and orders) that one session counts; beyond that the count no longer grows."""

REVENUE: Final = pl.Decimal(38, 4)

OPEN_SCHEMA: Final = pl.Schema(
    {
        "visitor": pl.String(),
        "opened": pl.Int64(),
        "anchor": pl.Int64(),
        "start": pl.Int64(),
        "end": pl.Int64(),
        "events": pl.Int64(),
        **{name: pl.Int64() for name in COUNTED},
        "priced": pl.Int64(),
        "rank": pl.Int64(),
        "revenue": REVENUE,
        "products": pl.List(pl.UInt64()),
        "orders": pl.List(pl.UInt64()),
        "entry_url": pl.String(),
        "exit_url": pl.String(),
        "page": pl.String(),
        **{name: pl.String() for name in DIMENSIONS},
        "revision": pl.Int64(),
        "closes": pl.Int64(),
    }
)
"""One open session. `opened` (ms, of its first settled row) names it for ever; `anchor` (ms) is where the
run of events without a gap began, from which the maximum length is measured; `start` and `end` (ms) are its
first and last event; `page` is the URL of its last view; `closes` = `end` + gap."""

OPEN_TABLE: Final = Table(name=OPEN, schema=OPEN_SCHEMA, key="visitor", due="closes")

SESSION_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "visitor": pl.String(),
        "session_start": TIME,
        "session_end": TIME,
        "duration_ms": pl.Int64(),
        "events": pl.Int64(),
        **{name: pl.Int64() for name in COUNTED},
        "orders": pl.Int64(),
        "revenue_base": MONEY,
        "products": pl.Int64(),
        "entry_url": pl.String(),
        "exit_url": pl.String(),
        **{name: pl.String() for name in DIMENSIONS},
        "bounced": pl.Boolean(),
        "converted": pl.Boolean(),
        "furthest_stage": pl.String(),
        "close_reason": pl.String(),
        "final": pl.Boolean(),
        "revision": pl.Int64(),
    }
)

SESSION_EVENT_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "event_id": pl.String(),
        "session": pl.String(),
        "sequence": pl.Int64(),
        "event_time": TIME,
    }
)

TRANSITION_PART_SCHEMA: Final = pl.Schema(
    {"window_start": TIME, "from_page": pl.String(), "to_page": pl.String(), "count": pl.Int64()}
)


def pending_rows(columns: pl.Schema) -> OrderedList:
    """Rows that wait for the watermark; see `reorder`."""
    return OrderedList(PENDING, columns, shard_by="visitor")


def late_schema(columns: pl.Schema) -> pl.Schema:
    """Columns of `late_events`: the carried columns of the event, the operator, and how late the event was."""
    return pl.Schema({"id": pl.String(), "operator": pl.String(), "late_by_ms": pl.Int64(), **columns})
