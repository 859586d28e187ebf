"""What the endpoint says of failures, disks and open incidents."""

import polars as pl
import pytest
from prometheus_client import generate_latest

from ecompulse.io.exporter.exporter import Exporter
from ecompulse.io.exporter.findings import Findings
from ecompulse.io.exporter.incidents import OpenIncidents
from ecompulse.io.stores import LocalStore


@pytest.fixture
def exporter(tmp_path):
    spaces = {"lake": {"free": 5, "size": 100}}
    return Exporter("toy", LocalStore(str(tmp_path)), ["risk_scores"], "/checkpoints/toy", lambda: spaces)


def lines(exporter, name):
    text = generate_latest(exporter.registry).decode()
    return [line for line in text.splitlines() if line.startswith(f"ecompulse_{name}")]


def test_attempts_that_failed_are_shown_once_something_has_failed_or_passed(exporter):
    assert lines(exporter, "failed_attempts") == [], "else a process that starts would count as one that goes on"
    for attempts in (1, 2, 0):
        exporter.failing(attempts)
        labels = 'checkpoint="/checkpoints/toy",job_name="toy"'
        assert lines(exporter, "failed_attempts") == [f"ecompulse_failed_attempts{{{labels}}} {attempts}.0"]


def test_disks_are_as_of_the_scrape(exporter):
    assert lines(exporter, "disk") == [
        'ecompulse_disk_free_bytes{job_name="toy",place="lake"} 5.0',
        'ecompulse_disk_size_bytes{job_name="toy",place="lake"} 100.0',
    ]
    exporter._disks._spaces()["lake"]["free"] = 4
    assert lines(exporter, "disk_free") == ['ecompulse_disk_free_bytes{job_name="toy",place="lake"} 4.0']


def test_every_decision_begins_at_0_so_that_the_first_is_an_increase(exporter):
    assert 'ecompulse_transactions_total{decision="rule",job_name="toy"} 0.0' in lines(exporter, "transactions")


def test_phases_are_those_of_the_last_epoch_and_add_up(exporter):
    for spent in (
        {"plan": 1000, "run": 2000, "alerts": 500, "total": 3500},
        {"plan": 1000, "run": 3000, "total": 4000},
    ):
        exporter._phases(spent)
    assert lines(exporter, "phase") == [
        'ecompulse_phase_duration_seconds{job_name="toy",phase="plan"} 1.0',
        'ecompulse_phase_duration_seconds{job_name="toy",phase="run"} 3.0',
    ]


def found(*rows: tuple[str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["id", "revision", "count"], orient="row").with_columns(
        check_name=pl.lit("duplicate"), subject=pl.lit("event_id")
    )


def test_findings_of_a_window_that_comes_again_count_once(exporter):
    shown = []
    for rows in (found(("a", 1, 10)), found(("a", 2, 12), ("b", 1, 3)), found(("b", 3, 5), ("b", 2, 4), ("c", 4, 90))):
        exporter._quality(rows)
        shown += lines(exporter, "data_quality_findings_total")
    assert [float(line.partition(" ")[2]) for line in shown] == [10, 15, 17]


def test_as_many_rows_are_remembered_as_may_be():
    findings = Findings(most=2)
    assert len(list(findings.take(found(*((name, 1, 1) for name in "abcd"))))) == 4
    assert [more for *_, more in findings.take(found(("a", 2, 9), ("d", 2, 9)))] == [0, 8]


def test_incidents_are_open_from_their_first_row_to_their_last():
    shown = []
    incidents = OpenIncidents(lambda count, labels: shown.append((labels["rule"], count)))

    def take(*turns: tuple[str, str]):
        rows = [{"incident_id": name, "rule": "dip", "metric": "m", "state": state} for name, state in turns]
        incidents.take("metric_alerts", pl.DataFrame(rows))
        return shown[-1]

    assert take(("a", "firing")) == ("dip", 1)
    assert take(("b", "firing"), ("c", "firing")) == ("dip", 3)
    assert take(("d", "firing"), ("d", "recovered")) == ("dip", 3)
    assert take(("a", "recovered"), ("b", "recovered"), ("c", "recovered")) == ("dip", 0)
    assert take(("before the start", "recovered")) == ("dip", 0)
