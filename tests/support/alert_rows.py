"""Rows of the tables of alerts."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from ecompulse.kernels.abandonment import ALERT_SCHEMA as CART_SCHEMA
from ecompulse.kernels.alerts.incidents import ALERT_SCHEMA
from ecompulse.kernels.anomalies.output import ANOMALY_SCHEMA
from ecompulse.kernels.fraud.score import FLAGGED_SCHEMA

AT = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(minutes=10)
SERIES = {"metric": "revenue", "window_size": "10m/1m", "dimensions": '{"country":"DE"}', "currency": "EUR"}

ROWS: dict[str, tuple[pl.Schema, dict[str, Any]]] = {
    "metric_alerts": (
        ALERT_SCHEMA,
        {**SERIES, "rule": "revenue_drop", "incident_id": "i1", "state": "firing", "severity": "critical", "since": AT,
         "value": Decimal("12.5")},
    ),
    "anomaly_alerts": (
        ANOMALY_SCHEMA,
        {**SERIES, "incident_id": "i2", "state": "firing", "kind": "change", "severity": "warning", "since": AT,
         "window_end": AT, "value": Decimal("12.5"), "expected_low": Decimal(100), "expected_high": Decimal(200),
         "score": 5.5},
    ),
    "flagged_transactions": (
        FLAGGED_SCHEMA,
        {"transaction_id": "t1", "event_time": AT, "visitor": "v1", "amount_base": Decimal("12.5"), "score": 0.987,
         "threshold": 0.5, "decision": "flag", "reasons": [{"feature": "user_count_1h", "value": 9.0, "usual": 1.0}]},
    ),
    "abandonment_alerts": (
        CART_SCHEMA,
        {"visitor": "v1", "user_id": "u1", "kind": "cart", "status": "open", "value_base": Decimal("12.5"),
         "lines": [{"product": "p1", "quantity": 1, "price": Decimal("12.5")}], "abandoned_at": AT, "revision": 1},
    ),
}  # fmt: skip


def rows_of(table: str, *changes: dict[str, Any]) -> pl.DataFrame:
    """Rows as sinks have them: the table's usual one with each of these changes."""
    schema, usual = ROWS[table]
    rows = [{"id": f"r{number}", **usual, **change} for number, change in enumerate(changes or ({},))]
    frame = pl.DataFrame(rows, schema=schema)
    return frame.with_columns(job=pl.lit("j"), instance=pl.lit(None, pl.String), epoch=pl.lit(1, pl.Int64))


ENDS: dict[str, dict[str, Any]] = {
    "metric_alerts": {"id": "end", "state": "recovered", "until": LATER, "value": Decimal(50)},
    "anomaly_alerts": {"id": "end", "state": "recovered", "window_end": LATER, "severity": "critical"},
    "abandonment_alerts": {"status": "recovered", "recovered_at": LATER, "order_id": "o1", "revision": 2},
}
"""What ends the incident of a table's usual row."""
