"""What each kind of receiver wants to be sent, as JSON; nothing here is sent."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ecompulse.io.alerts.alert import FIRING, Alert

_OPEN_FOR: Final = timedelta(days=30)
"""How long Alertmanager keeps an alert firing that is not sent again; it is resolved by its own turn."""

_PAGER: Final = {"critical": "critical", "warning": "warning", "info": "info"}
_COLOURS: Final = {"critical": "attention", "warning": "warning", "info": "accent"}
_LONGEST_SUMMARY: Final = 1024


def fingerprint(labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits that stand for a set of labels."""
    text = "\x1f".join(f"{name}\x1e{labels[name]}" for name in sorted(labels))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def alertmanager(alerts: Sequence[Alert], now: datetime | None = None) -> list[dict[str, Any]]:
    """`POST /api/v2/alerts`."""
    firing_until = ((now or datetime.now(UTC)) + _OPEN_FOR).isoformat()
    return [
        {
            "labels": dict(alert.labels),
            "annotations": {"summary": alert.summary, **alert.annotations},
            "startsAt": alert.starts_at,
            "endsAt": alert.ends_at or firing_until,
        }
        for alert in alerts
    ]


def webhook(alert: Alert, receiver: str) -> dict[str, Any]:
    """The body of Alertmanager's own webhook, version 4, of one alert."""
    annotations = {"summary": alert.summary, **alert.annotations}
    one = {
        "status": alert.status,
        "labels": dict(alert.labels),
        "annotations": annotations,
        "startsAt": alert.starts_at,
        "endsAt": alert.ends_at or "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": fingerprint(alert.labels),
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{incident="{alert.incident}"}}',
        "truncatedAlerts": 0,
        "status": alert.status,
        "receiver": receiver,
        "groupLabels": {"alertname": alert.labels["alertname"]},
        "commonLabels": dict(alert.labels),
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [one],
    }


def pagerduty(alert: Alert, routing_key: str) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2: the incident triggers and resolves by one `dedup_key`."""
    event = {"routing_key": routing_key, "dedup_key": alert.incident}
    if alert.status != FIRING:
        return {**event, "event_action": "resolve"}
    return {
        **event,
        "event_action": "trigger",
        "client": "ecompulse",
        "payload": {
            "summary": alert.summary[:_LONGEST_SUMMARY],
            "source": alert.labels.get("instance", alert.labels.get("job", "ecompulse")),
            "severity": _PAGER.get(alert.severity, "error"),
            "timestamp": alert.starts_at,
            "component": alert.labels.get("metric", alert.table),
            "group": alert.table,
            "class": alert.rule,
            "custom_details": {**alert.labels, **alert.annotations},
        },
    }


def slack(alert: Alert) -> dict[str, Any]:
    """A message of Slack's incoming webhooks; a workflow that begins with a webhook takes it as its variable `text`."""
    state = "resolved" if alert.status != FIRING else alert.severity
    return {"text": f"[{state}] {alert.summary}"}


def teams(alert: Alert) -> dict[str, Any]:
    """An adaptive card for a workflow of Teams that begins with a webhook request."""
    firing = alert.status == FIRING
    facts = [{"title": name, "value": value} for name, value in {**alert.labels, **alert.annotations}.items()]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {
                "type": "TextBlock",
                "text": f"{alert.severity if firing else 'resolved'}: {alert.summary}",
                "weight": "bolder",
                "wrap": True,
                "color": _COLOURS.get(alert.severity, "default") if firing else "good",
            },
            {"type": "FactSet", "facts": facts},
        ],
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
