"""Routes: who gets what."""

from pathlib import Path

import pytest

from ecompulse.io.alerts.alert import alerts_of
from ecompulse.io.alerts.routes import named, parse_routes, to_all
from ecompulse.kernels.config import ConfigError
from support.alert_rows import rows_of

NAMES = ["pager", "chat", "mail"]
ROUTES = """
routes:
- {rule: "revenue_*", severity: critical, to: [pager], continue: true}
- {table: abandonment_alerts, to: []}
- {severity: [info, warning], to: chat}
- {to: [chat, pager]}
"""


@pytest.mark.parametrize(
    ("table", "change", "to"),
    [
        ("metric_alerts", {"severity": "critical"}, ("pager", "chat")),
        ("metric_alerts", {"severity": "warning"}, ("chat",)),
        ("metric_alerts", {"severity": "critical", "rule": "orders_stopped"}, ("chat", "pager")),
        ("abandonment_alerts", {}, ()),
        ("flagged_transactions", {"decision": "rule", "rule": "velocity"}, ("chat", "pager")),
    ],
)
def test_the_first_route_that_takes_an_alert_says_where_it_goes(table, change, to):
    [alert] = alerts_of(table, rows_of(table, change))
    assert parse_routes(ROUTES, NAMES).receivers(alert) == to
    assert to_all(NAMES).receivers(alert) == tuple(NAMES)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[]", "routes"),
        ("routes: 3", "routes"),
        ("routes: [3]", r"routes\[0\]"),
        ("routes: [{severity: critical}]", r"routes\[0\].to"),
        ("routes: [{to: pagr}]", r"routes\[0\].to: 'pagr' is none, did you mean pager"),
        ("routes: [{to: pager, severty: info}]", r"routes\[0\].severty: unknown key, did you mean severity"),
        ("routes: [{to: pager, severity: bad}]", r"routes\[0\].severity"),
        ("routes: [{to: pager, table: sessions}]", r"routes\[0\].table"),
        ("routes: [{to: pager, rule: 3}]", r"routes\[0\].rule"),
        ("routes: [{to: pager, continue: 1}]", r"routes\[0\].continue"),
    ],
)
def test_a_route_that_cannot_be_is_named(text, path):
    with pytest.raises(ConfigError, match=path):
        parse_routes(text, NAMES)


def test_receivers_without_names_are_called_by_their_scheme():
    found = named([(None, "slack:a"), ("pager", "pagerduty:b"), (None, "slack:c"), (None, "slack:d")])
    assert found == {"slack": "slack:a", "pager": "pagerduty:b", "slack_2": "slack:c", "slack_3": "slack:d"}


def test_the_shipped_example_is_good():
    text = (Path(__file__).parents[3] / "runner_configs" / "alerts" / "routes.yaml").read_text()
    routing = parse_routes(text, NAMES)
    [cart] = alerts_of("abandonment_alerts", rows_of("abandonment_alerts"))
    assert routing.receivers(cart) == ("mail",)
    [critical] = alerts_of("metric_alerts", rows_of("metric_alerts"))
    assert routing.receivers(critical) == ("pager", "chat")
