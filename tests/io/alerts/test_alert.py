"""Rows of tables as alerts, and alerts as receivers want them."""

import json
import re
from datetime import UTC, datetime

import pytest

from ecompulse.io.alerts import bodies
from ecompulse.io.alerts.alert import FIRING, RESOLVED, TABLES, alerts_of
from support.alert_rows import AT, ENDS, ROWS, rows_of

TURNS = sorted(ENDS)


@pytest.mark.parametrize("table", sorted(ROWS))
def test_a_row_that_fires_is_an_alert_without_values_in_its_labels(table):
    [alert] = alerts_of(table, rows_of(table))
    assert alert.key == "r0"
    assert (alert.status, alert.ends_at, alert.table) == (FIRING, None, table)
    assert alert.starts_at == "2026-01-01T12:00:00.000Z"
    assert not {"12.5", "0.987", "5.5", "200", "v1", "u1"} & set(alert.labels.values())
    assert any("12.5" in text for text in alert.annotations.values())
    assert "\n" not in alert.summary


def test_all_tables_of_alerts_are_read_and_no_others():
    assert set(ROWS) == TABLES
    assert alerts_of("sessions", rows_of("metric_alerts")) == []


@pytest.mark.parametrize("table", TURNS)
def test_the_turn_that_ends_an_incident_has_its_labels_and_another_key(table):
    first, last = alerts_of(table, rows_of(table, {}, {"id": "r0", **ENDS[table]}))
    assert (first.status, last.status) == (FIRING, RESOLVED)
    assert first.incident == last.incident
    assert first.key != last.key
    assert first.labels == last.labels  # by these Alertmanager knows what it was told
    assert last.ends_at == "2026-01-01T12:10:00.000Z"


@pytest.mark.parametrize(
    ("dimensions", "labels"),
    [
        ('{"country":"DE"}', {"country": "DE"}),
        ("{}", {}),
        ('{"utm-source":"a b","plan":null}', {"utm_source": "a b"}),
        ('{"1st":"x","severity":"low"}', {"_1st": "x", "dimension_severity": "low"}),
        ('{"row":"7"}', {"row": "7"}),
    ],
)
def test_dimensions_are_labels_with_names_that_prometheus_takes(dimensions, labels):
    [alert] = alerts_of("metric_alerts", rows_of("metric_alerts", {"dimensions": dimensions}))
    own = {"alertname", "severity", "table", "job", "metric", "window_size", "currency"}
    assert {name: value for name, value in alert.labels.items() if name not in own} == labels


def test_an_alert_without_a_value_says_so():
    [alert] = alerts_of("metric_alerts", rows_of("metric_alerts", {"value": None, "currency": None}))
    assert alert.summary == "revenue_drop: revenue (10m/1m, country=DE) is nothing"


def pair(table="metric_alerts"):
    return alerts_of(table, rows_of(table, {}, {"id": "r0", **ENDS[table]}))


def test_alertmanager_is_told_times_that_it_takes():
    for body in bodies.alertmanager(pair(), datetime(2026, 6, 1, tzinfo=UTC)):
        starts, ends = (datetime.fromisoformat(body[name]) for name in ("startsAt", "endsAt"))
        assert starts == AT
        assert ends > starts
        assert set(body) == {"labels", "annotations", "startsAt", "endsAt"}


def test_the_webhook_has_the_body_of_alertmanagers_version_4():
    fired, ended = (bodies.webhook(alert, "ecompulse") for alert in pair())
    keys = {"version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
            "commonAnnotations", "externalURL", "alerts"}  # fmt: skip
    assert set(fired) == keys
    assert fired["version"] == "4"
    assert fired["groupKey"] == ended["groupKey"]
    assert (fired["status"], ended["status"]) == ("firing", "resolved")
    [one], [other] = fired["alerts"], ended["alerts"]
    assert set(one) == {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert re.fullmatch("[0-9a-f]{16}", one["fingerprint"])
    assert one["fingerprint"] == other["fingerprint"]
    assert one["endsAt"].startswith("0001")


@pytest.mark.parametrize("table", TURNS)
def test_pagerduty_triggers_and_resolves_by_the_incident(table):
    fired, ended = (bodies.pagerduty(alert, "key") for alert in pair(table))
    assert (fired["event_action"], ended["event_action"]) == ("trigger", "resolve")
    assert fired["dedup_key"] == ended["dedup_key"]
    assert {"summary", "source", "severity"} <= set(fired["payload"])
    assert fired["payload"]["severity"] in {"critical", "error", "warning", "info"}
    assert "payload" not in ended


@pytest.mark.parametrize("table", sorted(ROWS))
@pytest.mark.parametrize("body", [bodies.slack, bodies.teams])
def test_chat_says_how_bad_and_what(body, table):
    for alert in alerts_of(table, rows_of(table, {}, ENDS.get(table, {}))):
        said = json.dumps(body(alert), ensure_ascii=False)
        assert alert.summary in said
        assert (alert.severity if alert.status == FIRING else "resolved") in said
