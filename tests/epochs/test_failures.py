"""What fails is on record in the checkpoint until the job goes on, and nothing of the job depends on it."""

import pytest

from ecompulse.epochs.checkpoint import last_commit
from ecompulse.epochs.errors import JobError, Superseded, Unusable
from ecompulse.epochs.failures import FOLDER, FailureLog, load_failure
from ecompulse.io.stores import LocalStore
from support.script import Script
from support.toy import ToyJob, rows

SECRET = OSError("postgresql://shop:hunter2@warehouse/db does not answer")


@pytest.fixture
def script(tmp_path):
    return Script(ToyJob(), tmp_path, max_rows=20).add_data(rows(20)).run()


@pytest.fixture
def store(script):
    return LocalStore(str(script.root / "checkpoint"))


def on_record(store):
    return load_failure(store, last_commit(store))


def failing_driver(script, *errors: Exception):
    """A driver whose runs fail with these errors before they work; and the counts of attempts that it gave."""
    driver, left, counts = script.driver(), list(errors), []
    real = driver.run

    def run() -> None:
        if left:
            raise left.pop(0)
        real()

    driver.run = run
    driver._failures.failing = counts.append
    return driver, counts


def test_what_is_tried_again_is_on_record_until_it_has_worked(script, store):
    driver, counts = failing_driver(script.add_data(rows(20, seed=2)), SECRET, SECRET)
    seen = []
    wait = script.clock.wait

    def look(seconds, stop):
        seen.append(on_record(store))
        wait(seconds, stop)

    script.clock.wait = look
    driver.start()
    assert [(each.kind, each.attempts, each.ended) for each in seen] == [("run", 1, False), ("run", 2, False)]
    assert seen[1].since == seen[0].since < seen[1].at
    assert seen[1].error == "OSError: postgresql://shop:***@warehouse/db does not answer"
    assert counts[:3] == [1, 2, 0]
    assert not any(counts[3:])
    assert store.list(FOLDER) == []


def test_a_driver_that_ends_leaves_why(script, store):
    driver, counts = failing_driver(script.add_data(rows(20, seed=2)), *[SECRET] * 9)
    with pytest.raises(OSError, match="hunter2"):
        driver.start()
    left = on_record(store)
    assert (left.kind, left.attempts, left.ended, counts) == ("run", 3, True, [1, 2, 3])
    assert "hunter2" not in store.get(store.list(FOLDER)[0]).decode()
    script.driver()
    assert on_record(store) == left, "it counts until a driver has gone on"
    script.run()
    assert on_record(store) is None
    assert store.list(FOLDER) == []


def test_what_is_not_tried_again_is_on_record(script, store):
    driver, _ = failing_driver(script.add_data(rows(20, seed=2)), Unusable("/lake: No space left on device"))
    with pytest.raises(JobError):
        driver.start()
    left = on_record(store)
    assert (left.kind, left.attempts, left.error) == ("job", 1, "/lake: No space left on device")


def test_a_record_that_cannot_be_removed_is_overtaken_by_the_next_commit(script, store, monkeypatch):
    driver, _ = failing_driver(script.add_data(rows(20, seed=2)), SECRET)

    delete = LocalStore.delete

    def broken(self, names):
        if any(name.startswith(FOLDER) for name in names):
            raise OSError("the disk is read-only")
        delete(self, names)

    monkeypatch.setattr(LocalStore, "delete", broken)
    driver.start()
    assert len(store.list(FOLDER)) == 1
    assert on_record(store) is None


def test_a_record_that_cannot_be_written_changes_nothing(script, store, monkeypatch):
    driver, counts = failing_driver(script.add_data(rows(20, seed=2)), SECRET)
    put = LocalStore.put

    def full(self, name, data):
        if name.startswith(FOLDER):
            raise Unusable(f"{name}: No space left on device")
        put(self, name, data)

    monkeypatch.setattr(LocalStore, "put", full)
    assert driver.start() > 0
    assert counts[:2] == [1, 0]


def test_a_driver_that_was_superseded_writes_nothing(script, store):
    old = script.add_data(rows(20, seed=2)).driver()
    script.driver()
    with pytest.raises(Superseded):
        old.start()
    FailureLog(old.checkpoint, script.clock.now, lambda _attempts: None).failed("run", SECRET)
    assert store.list(FOLDER) == []


def test_a_driver_removes_no_record_of_a_newer_one(script, store):
    old, new = script.driver(), script.driver()
    logs = [FailureLog(each.checkpoint, script.clock.now, lambda _attempts: None) for each in (old, new)]
    logs[1].failed("run", SECRET)
    logs[0].passed()
    assert on_record(store).attempts == 1


def test_a_record_that_is_damaged_or_of_another_version_is_none(script, store):
    store.put(f"{FOLDER}/00000009.json", b'{"some": "thing"}')
    assert on_record(store) is None
    store.put(f"{FOLDER}/00000009.json", b"{")
    assert on_record(store) is None
