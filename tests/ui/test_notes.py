"""What of a job needs a look: the page and `status` say it, and stop saying it."""

import json

import pytest

from ecompulse.cli import status
from ecompulse.epochs.errors import JobError
from ecompulse.epochs.failures import Failure
from ecompulse.io.stores import LocalStore, open_store
from ecompulse.ui.app import Sources, make_app
from ecompulse.ui.disks import disk_rows, disks_of, full_disks
from ecompulse.ui.notes import notes_of
from ecompulse.ui.shares import shares_of
from support.asgi import get
from support.place import printed
from support.script import Script
from support.toy import ToyJob, rows

DISKS = {"checkpoint": {"free": 99, "size": 1000}, "lake": {"free": 100, "size": 1000}}


def pages(root):
    app = make_app(Sources(lambda: [(LocalStore(str(root / "checkpoint")), lambda: False)]))
    return get(app, "/").text, get(app, "/jobs/0").text


def test_the_error_that_ended_a_job_is_on_the_page_until_it_has_gone_on(tmp_path, capsys):
    script = Script(ToyJob(), tmp_path, max_rows=20).add_data(rows(60))
    driver = script.driver()

    def run() -> None:
        raise JobError("<b>kafka://shop:hunter2@broker</b> does not answer")

    driver.run = run
    with pytest.raises(JobError):
        driver.start()
    jobs, job = pages(tmp_path)
    assert "failing</span>" in jobs
    assert "3 attempts in a row have failed (run), and the driver has ended: " in job
    assert "&lt;b&gt;kafka://shop:***@broker&lt;/b&gt; does not answer" in job
    assert "does not answer" in printed(capsys, status, str(tmp_path / "checkpoint")).replace("\n", " ")
    [line] = printed(capsys, status, str(tmp_path / "checkpoint"), "--json").splitlines()
    assert json.loads(line)["failure"]["attempts"] == 3
    script.run()
    jobs, job = pages(tmp_path)
    assert "failing</span>" not in jobs
    assert "What needs a look" not in job


def test_a_disk_is_almost_full_below_a_tenth():
    assert full_disks(DISKS) == ["checkpoint"]
    assert disk_rows(DISKS) == [("checkpoint", "99 B", "1 kB", "almost full"), ("lake", "100 B", "1 kB", "enough")]
    assert full_disks({}) == []


def test_the_disk_of_a_checkpoint_is_as_it_is_now(tmp_path):
    """A full one has stopped the job, which says nothing more."""
    disks = disks_of(LocalStore(str(tmp_path)), {"disks": DISKS})
    assert disks["checkpoint"]["size"] > 1000
    assert disks["lake"] == DISKS["lake"]
    assert disks_of(open_store("s3://bucket/c"), {"disks": DISKS}) == DISKS


def test_the_gravest_comes_first():
    lookups = {"user": {"breaker": "open"}, "geo": {"breaker": "closed"}}
    lines = notes_of(
        Failure(1, "run", 1, 0, 0, "no answer"), [{**epoch(20, dead_letters=11), "lookups": lookups}], DISKS
    )
    assert lines == [
        "since 1970-01-01 00:00:00 an attempt has failed (run): no answer",
        "the disk of the checkpoint is almost full",
        "the breaker of the look-up user is open",
        "55% of the rows of the last epochs are dead letters",
    ]
    assert notes_of(None, [], {}) == []


def epoch(read, **tables: int):
    return {"numInputRows": read, "sink": {"tables": tables}}


def test_shares_are_of_the_last_two_epochs_that_had_rows():
    bad, good, idle = epoch(100, dead_letters=40), epoch(100), epoch(0)
    assert shares_of([bad, idle]) == ["40% of the rows of the last epochs are dead letters"]
    assert shares_of([bad, good, idle, idle]) == ["20% of the rows of the last epochs are dead letters"]
    assert shares_of([bad, good, good]) == []
    assert shares_of([epoch(5, dead_letters=5)]) == [], "five rows are no sign"


def test_a_burst_of_fraud_is_a_share_of_the_scored_payments():
    burst = epoch(0, risk_scores=50, flagged_transactions=20)
    assert shares_of([burst]) == ["40% of the payments of the last epochs are flagged"]
    assert shares_of([burst, epoch(90, risk_scores=90), epoch(90, risk_scores=90)]) == []
