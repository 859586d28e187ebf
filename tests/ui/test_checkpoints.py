"""What the page knows of a job is what its checkpoint says, whatever state that is in."""

import os
import shutil
import uuid

import pytest

from ecompulse.cli.stores import open_checkpoints
from ecompulse.epochs.checkpoint_admin import fork, reshard
from ecompulse.epochs.steps import Step
from ecompulse.io.lock import is_held
from ecompulse.io.stores import LocalStore, open_store
from ecompulse.ui.checkpoints import read_job
from services import s3
from support.process import Shop, events, write_lines
from support.script import Script
from support.toy import ToyJob, rows

NOW = 1_800_000_100_000


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    return Script(ToyJob(), tmp_path_factory.mktemp("toy"), max_rows=20).add_data(rows(60)).run()


def seen(script, held=False):
    return read_job(0, LocalStore(str(script.root / "checkpoint")), lambda: held, NOW)


def test_a_job_that_has_stopped(script):
    job = seen(script)
    assert (job.name, job.state, job.starts, job.pending) == ("toy", "stopped", 1, False)
    assert [epoch["batchId"] for epoch in job.epochs] == [told["batchId"] for told in script.progress]
    assert job.total("rows") == 60
    assert job.last["numInputRows"] == script.progress[-1]["numInputRows"]
    assert job.backlog == 0
    assert job.retry_rows == []
    assert job.holder == "0/0"
    assert [operator.name for operator in job.operators] == ["count"]


def test_what_was_tried_again_has_its_last_error(tmp_path):
    script = Script(ToyJob(), tmp_path, max_rows=20).add_data(rows(60))
    driver = script.driver()
    real, failures = driver.run, [OSError("a worker was lost"), OSError("another one was lost")]

    def run() -> None:
        if failures:
            raise failures.pop(0)
        real()

    driver.run = run
    driver.start()
    assert seen(script).retry_rows == [("run", 2, "OSError: another one was lost")]


def test_one_that_runs(script):
    assert seen(script, held=True).state == "running"


def test_where_nobody_can_say_it_goes_by_its_last_commit(script):
    last = seen(script).committed
    store = LocalStore(str(script.root / "checkpoint"))
    assert read_job(0, store, lambda: None, last + 59_000).state == "running"
    assert read_job(0, store, lambda: None, last + 61_000).state == "stopped"


@pytest.mark.slow
def test_a_checkpoint_in_a_bucket_is_the_same_job(script, moto, monkeypatch):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    bucket = f"ui-{uuid.uuid4().hex[:8]}"
    s3.client(moto).create_bucket(Bucket=bucket)
    place, endpoint = f"s3://{bucket}/c", moto.facts["url"]
    here, there = LocalStore(str(script.root / "checkpoint")), open_store(place, endpoint)
    for name in here.list(""):
        there.put(name, here.get(name))
    [(store, held)] = open_checkpoints([place], endpoint, [])
    found = read_job(0, store, held, seen(script).committed)
    assert (found.state, found.place) == ("running", place)  # nobody can say: it has committed just now
    ours = seen(script)
    assert (found.epochs, found.watermarks, found.operators) == (ours.epochs, ours.watermarks, ours.operators)


def test_two_instances_of_a_job_are_told_apart(tmp_path):
    for shop in ("north", "south"):
        source = write_lines(tmp_path / shop / "in.jsonl", events(5))
        flags = (f"--instance={shop}", "--progress=none", "--warehouse=none")
        made = Shop(tmp_path / shop, source, flags).run_here(f"--checkpoint={tmp_path / 'all' / shop}")
        assert made == (0, "")
    jobs = [read_job(key, store, lambda: False, NOW) for key, (store, _) in
            enumerate(open_checkpoints([str(tmp_path / "all")], None, []))]  # fmt: skip
    assert [job.title for job in jobs] == ["event_enrichment (north)", "event_enrichment (south)"]


def test_the_gap_is_to_now(script):
    job = seen(script)
    assert job.gap(job.watermark + 5_000) == 5_000


def test_one_that_never_ran(tmp_path):
    script = Script(ToyJob(), tmp_path)
    script.driver()
    job = seen(script)
    assert (job.state, job.watermark, job.gap(NOW), job.p95, job.clears_in) == ("never ran", None, None, None, None)


@pytest.mark.parametrize("occurrence", [1, 2])
def test_an_epoch_that_is_sealed_and_not_committed_is_pending(tmp_path, occurrence):
    script = Script(ToyJob(), tmp_path, max_rows=20).add_data(rows(60))
    assert script.crash_at(Step.SEALED, occurrence)
    assert (seen(script).pending, len(seen(script).epochs)) == (True, occurrence - 1)


@pytest.mark.parametrize("content", ["{", "{}", "[]", "null", "3"])
@pytest.mark.parametrize("damage", ["meta.json", "commits/{last:08d}.json", "seals/{last:08d}.json"])
def test_one_that_is_damaged_says_what(script, tmp_path, damage, content):
    shutil.copytree(script.root / "checkpoint", tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / damage.format(last=script.progress[-1]["batchId"])
    path.chmod(0o600)
    path.write_text(content)
    job = read_job(3, LocalStore(str(tmp_path / "checkpoint")), lambda: False, NOW)
    assert job.state == "unreadable"
    assert path.name in job.error


@pytest.mark.parametrize(
    "derive", [lambda here, there: fork(here, there, None), lambda here, there: reshard(here, there, 3)]
)
def test_one_that_goes_on_from_another_has_no_epoch_until_it_has_run(tmp_path, derive):
    script = Script(ToyJob(), tmp_path, max_rows=20).add_data(rows(60)).run()
    old = tmp_path / "old"
    (tmp_path / "checkpoint").rename(old)
    derive(LocalStore(str(old)), LocalStore(str(tmp_path / "checkpoint")))
    job = seen(script)
    assert (job.name, job.state, job.epochs, job.error) == ("toy", "never ran", [], "")
    assert job.operators


def test_no_checkpoint_at_all(tmp_path):
    assert "holds no checkpoint" in read_job(0, LocalStore(str(tmp_path)), lambda: False, NOW).error


def test_whoever_needs_a_look_comes_first(script, tmp_path):
    calm, lost = seen(script), read_job(1, LocalStore(str(tmp_path)), lambda: False, NOW)
    assert sorted([calm, lost], key=lambda job: job.trouble(NOW), reverse=True) == [lost, calm]


def test_a_lock_is_held_while_it_beats(tmp_path):
    assert not is_held(tmp_path)
    (tmp_path / "lock").touch()
    assert is_held(tmp_path)
    os.utime(tmp_path / "lock", (0, 0))
    assert not is_held(tmp_path)
