"""What the endpoint says of failures, disks and open incidents."""

import polars as pl
import pytest
from prometheus_client import generate_latest

from ecompulse.io.exporter.exporter import Exporter
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
