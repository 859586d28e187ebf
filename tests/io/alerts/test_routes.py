"""Routes: who gets what."""

from pathlib import Path

import pytest

from ecompulse.io.alerts.alert import TABLES, alerts_of
from ecompulse.io.alerts.routes import check_rules, known_rules, named, parse_routes, to_all
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


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "{rule: paymnts_failing, to: pager}",
            "routes[0].rule: 'paymnts_failing' matches no rule (one of another job ",
        ),
        ("{rule: [payments_failing, own*], to: pager}", ""),
        ("{rule: [payments_failing, owm*], to: pager}", "'owm*' matches no rule"),
        ("{rule: anomaly_*, to: pager}", ""),
        ("{table: flagged_transactions, rule: velocity, to: pager}", ""),  # of another job, which knows its policy
        ("{table: metric_alerts, rule: fraud_score, to: pager}", "'fraud_score' matches no rule; known: no_events, "),
        ("{rule: '*', to: pager}", ""),
    ],
)
def test_a_pattern_that_matches_no_rule_is_refused(rule, said):
    routing = parse_routes(f"routes: [{rule}]", NAMES)
    found = ""
    try:
        check_rules(routing, {"metric_alerts": ["own_rule"]})
    except ConfigError as error:
        found = str(error)
    assert (said in found) if said else not found


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_table_of_alerts_has_rules_that_are_known(table):
    [alert] = alerts_of(table, rows_of(table))
    own = {alert.rule} if table in {"metric_alerts", "flagged_transactions"} else set()
    assert alert.rule in known_rules()[table] | own


def test_receivers_without_names_are_called_by_their_scheme():
    found = named([(None, "slack:a"), ("pager", "pagerduty:b"), (None, "slack:c"), (None, "slack:d")])
    assert found == {"slack": "slack:a", "pager": "pagerduty:b", "slack_2": "slack:c", "slack_3": "slack:d"}


def test_the_shipped_example_is_good():
    text = (Path(__file__).parents[3] / "runner_configs" / "alerts" / "routes.yaml").read_text()
    routing = parse_routes(text, NAMES)
    check_rules(routing, dict.fromkeys(TABLES, ()))
    [cart] = alerts_of("abandonment_alerts", rows_of("abandonment_alerts"))
    assert routing.receivers(cart) == ("mail",)
    [critical] = alerts_of("metric_alerts", rows_of("metric_alerts"))
    assert routing.receivers(critical) == ("pager", "chat")
