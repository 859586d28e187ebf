"""Purchase lines and refunds once it is known what became of the payment."""

from typing import Final

import polars as pl

SETTLED_LINE: Final = "settled_line"
SETTLED_REFUND: Final = "settled_refund"
"""Types of these marks; `payment_status` is that of the order's payment, null for a line that met none."""

_OF_ORDERS: Final = ("purchase", "payment", "refund")
_MARKS: Final = {"purchase": SETTLED_LINE, "refund": SETTLED_REFUND}


def order_events(events: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """What `MatchPayments` needs to see of a batch, with the columns of `schema`."""
    return events.filter(pl.col("event_type").is_in(_OF_ORDERS)).select(schema.names())


def settled(matched: pl.DataFrame) -> pl.DataFrame:
    """Rows that `MatchPayments` let out as marks; payments are none."""
    lines = matched.filter(pl.col("event_type").is_in(list(_MARKS)))
    return lines.with_columns(pl.col("event_type").replace_strict(_MARKS, return_dtype=pl.String))
