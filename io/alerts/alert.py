"""An alert as receivers are told of it, made of rows of the tables of alerts."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from ecompulse.kernels.labels import as_label

FIRING: Final = "firing"
RESOLVED: Final = "resolved"

Row = Mapping[str, Any]

_OWN: Final = frozenset(
    {"alertname", "severity", "table", "job", "instance", "metric", "window_size", "currency", "rule"}
)
"""Labels that are ours; a dimension of such a name is `dimension_<name>`."""


@dataclass(frozen=True)
class Alert:
    """One turn of an incident.

    Attributes:
        key: of this turn: the row's `id`; of a row that has come again, with its revision behind it.
        incident: the same in all turns of an incident.
        table: that the row is of.
        rule: what fired.
        severity: `info`, `warning` or `critical`.
        status: FIRING or RESOLVED.
        starts_at: ISO 8601, UTC.
        ends_at: the same; None while it fires.
        summary: what happened, in a line.
        labels: what the incident is of; never a measured value, by which receivers would take it for another.
        annotations: what was measured.
    """

    key: str
    incident: str
    table: str
    rule: str
    severity: str
    status: str
    starts_at: str
    ends_at: str | None
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def alerts_of(table: str, rows: pl.DataFrame) -> list[Alert]:
    """The alerts that the rows of a table say, in their order; none of a table that holds none."""
    read = _READERS.get(table)
    return [read(row) for row in rows.iter_rows(named=True)] if read else []


def _labels(table: str, row: Row, /, **more: Any) -> dict[str, str]:
    """Labels of an incident, a dimension may have any name: without what is null, names as Prometheus wants them."""
    own = {"alertname": more.pop("alertname"), "severity": more.pop("severity"), "table": table,
           "job": row.get("job"), "instance": row.get("instance"), **more}  # fmt: skip
    return {_label(name): str(value) for name, value in own.items() if value not in (None, "")}


def _label(name: str) -> str:
    """The name as Prometheus takes it."""
    return as_label(f"_{name}" if name[:1].isdigit() else name)


def _texts(row: Row, *names: str) -> dict[str, str]:
    return {name: _text(row[name]) for name in names if row.get(name) is not None}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return f"{value.normalize():f}" if hasattr(value, "normalize") else str(value)


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _of_series(row: Row) -> tuple[dict[str, str], str]:
    """Labels and words of the series of a metric."""
    dimensions = {name: value for name, value in json.loads(row["dimensions"] or "{}").items() if value is not None}
    of = {f"dimension_{name}" if name in _OWN else name: value for name, value in dimensions.items()}
    labels = {"metric": row["metric"], "window_size": row["window_size"], "currency": row["currency"], **of}
    words = [row["window_size"], *(f"{name}={value}" for name, value in dimensions.items())]
    return labels, f"{row['metric']} ({', '.join(words)})"


def _said(row: Row) -> str:
    value = "nothing" if row["value"] is None else _text(row["value"])
    return f"{value} {row['currency'] or ''}".strip()


def _metric_alert(row: Row) -> Alert:
    labels, words = _of_series(row)
    over = row["state"] != FIRING
    return Alert(
        key=row["id"],
        incident=row["incident_id"],
        table="metric_alerts",
        rule=row["rule"],
        severity=row["severity"],
        status=RESOLVED if over else FIRING,
        starts_at=_iso(row["since"]),
        ends_at=_iso(row["until"] or row["since"]) if over else None,
        summary=f"{row['rule']}: {words} is {_said(row)}{', recovered' if over else ''}",
        labels=_labels("metric_alerts", row, alertname=row["rule"], severity=row["severity"], **labels),
        annotations=_texts(row, "value", "since", "until", "incident_id"),
    )


def _anomaly_alert(row: Row) -> Alert:
    labels, words = _of_series(row)
    over = row["state"] != FIRING
    expected = "" if row["expected_low"] is None else (
        f", expected {_text(row['expected_low'])} to {_text(row['expected_high'])}"
    )  # fmt: skip
    ends = max(row["window_end"], row["since"])
    return Alert(
        key=row["id"],
        incident=row["incident_id"],
        table="anomaly_alerts",
        rule=f"anomaly_{row['kind']}",
        severity=row["severity"],
        status=RESOLVED if over else FIRING,
        starts_at=_iso(row["since"]),
        ends_at=_iso(ends) if over else None,
        summary=f"{row['kind']} of {words}: {_said(row)}{expected}{', recovered' if over else ''}",
        # Not the severity: one that grew in between would leave the incident open for ever.
        labels=_labels("anomaly_alerts", row, alertname=f"anomaly_{row['kind']}", severity="", **labels),
        annotations=_texts(row, "value", "expected_low", "expected_high", "score", "severity", "since", "window_end",
                           "incident_id"),
    )  # fmt: skip


def _fraud_alert(row: Row) -> Alert:
    reasons = ", ".join(str(reason["feature"]) for reason in row["reasons"] or ())
    severity = "critical" if row["decision"] != "flag" else "warning"
    amount = f" of {_text(row['amount_base'])}" if row["amount_base"] is not None else ""
    return Alert(
        key=row["id"],
        incident=row["id"],
        table="flagged_transactions",
        rule=row["rule"] or "fraud_score",
        severity=severity,
        status=FIRING,
        starts_at=_iso(row["event_time"]),
        ends_at=None,
        summary=f"transaction {row['transaction_id']}{amount} looks like fraud: {reasons or row['decision']}",
        labels=_labels("flagged_transactions", row, alertname="suspected_fraud", severity=severity,
                       rule=row["rule"], transaction_id=row["transaction_id"]),
        annotations=_texts(row, "score", "threshold", "decision", "amount_base", "visitor", "card_id", "order_id",
                           "reasons"),
    )  # fmt: skip


def _cart_alert(row: Row) -> Alert:
    over = row["status"] != "open"
    worth = f", worth {_text(row['value_base'])}" if row["value_base"] is not None else ""
    return Alert(
        key=row["id"] if row["revision"] == 1 else f"{row['id']}/{row['revision']}",
        incident=row["id"],
        table="abandonment_alerts",
        rule=f"abandoned_{row['kind']}",
        severity="info",
        status=RESOLVED if over else FIRING,
        starts_at=_iso(row["abandoned_at"]),
        ends_at=_iso(max(row["recovered_at"] or row["abandoned_at"], row["abandoned_at"])) if over else None,
        summary=f"{row['kind']} of {row['visitor']} was {'bought after all' if over else 'left'}{worth}",
        labels=_labels("abandonment_alerts", row, alertname=f"abandoned_{row['kind']}", severity="info",
                       alert_id=row["id"]),
        annotations=_texts(row, "visitor", "user_id", "anonymous_id", "value_base", "lines", "order_id"),
    )  # fmt: skip


_READERS: Final[Mapping[str, Callable[[Row], Alert]]] = {
    "metric_alerts": _metric_alert,
    "anomaly_alerts": _anomaly_alert,
    "flagged_transactions": _fraud_alert,
    "abandonment_alerts": _cart_alert,
}

TABLES: Final = frozenset(_READERS)
"""Tables whose rows are alerts."""
