"""What fails is tried again, so often and no more; the counts show in the progress."""

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.errors import JobError, StateDamaged, Superseded, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.retry_policy import LONGEST_PAUSE, Retries, RetryPolicy, one_line
from support.script import FakeClock, Script
from support.toy import ToyJob


class Waits:
    def __init__(self, stop_after: int = 1000) -> None:
        self.pauses: list[float] = []
        self.stop_after = stop_after

    def wait(self, seconds: float, stop: threading.Event) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) >= self.stop_after:
            stop.set()


def failing(times: int, error: Exception, calls: list[int]):
    def body() -> None:
        calls.append(1)
        if len(calls) <= times:
            raise error

    return body


def test_it_goes_on_once_it_works_and_counts():
    waits, calls, retries = Waits(), [], Retries()
    RetryPolicy(waits, threading.Event())(failing(3, OSError("gone"), calls), 10, retries, "publish")
    assert len(calls) == 4
    assert retries == {"publish": 3}
    assert retries.errors == {"publish": "OSError: gone"}
    assert all(0 <= pause <= LONGEST_PAUSE for pause in waits.pauses)
    assert len(set(waits.pauses)) > 1, "pauses are random, so that jobs that failed together do not return together"


def test_the_line_of_a_failed_attempt_has_no_secret():
    retries = Retries()
    error = OSError("postgresql://shop:hunter2@warehouse/db does not answer")
    RetryPolicy(Waits(), threading.Event())(failing(1, error, []), 2, retries, "publish")
    assert retries.errors == {"publish": "OSError: postgresql://shop:***@warehouse/db does not answer"}


def test_after_the_last_attempt_the_last_error_is_raised():
    calls: list[int] = []
    with pytest.raises(OSError, match="gone"):
        RetryPolicy(Waits(), threading.Event())(failing(99, OSError("gone"), calls), 4, Retries(), "run")
    assert len(calls) == 4


@pytest.mark.parametrize("error", [Superseded("x"), UserError("x"), StateDamaged("x"), KeyboardInterrupt()])
def test_what_cannot_be_mended_is_not_tried_again(error):
    calls: list[int] = []
    with pytest.raises(type(error)):
        RetryPolicy(Waits(), threading.Event())(failing(99, error, calls), 4, Retries(), "run")
    assert len(calls) == 1


def test_a_request_to_stop_ends_it():
    calls: list[int] = []
    with pytest.raises(OSError, match="gone"):
        RetryPolicy(Waits(stop_after=2), threading.Event())(failing(99, OSError("gone"), calls), 50, Retries(), "run")
    assert len(calls) == 3


def test_an_error_is_one_line():
    assert one_line(JobError("--warehouse: x\nmore")) == "--warehouse: x"
    assert one_line(ValueError("")) == "ValueError: no message"


BASE = 1_700_000_000_000
ROWS = [{"id": f"r{n}", "key": f"k{n % 3}", "value": n, "event_time": BASE + n * 500} for n in range(40)]


class Flaky:
    """A sink that fails before, and one that fails after it has written."""

    def __init__(self, sink, failures: int, *, after: bool) -> None:
        self.sink, self.failures, self.after, self.name = sink, failures, after, "flaky"

    def open(self, *arguments: Any) -> None:
        self.sink.open(*arguments)

    def publish(self, table, epoch, files) -> None:
        if self.failures and not self.after:
            self.failures -= 1
            raise ConnectionError("refused\nby the server")
        self.sink.publish(table, epoch, files)
        if self.failures and files:
            self.failures -= 1
            raise ConnectionError("the answer was lost")


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    return Script(ToyJob(), tmp_path_factory.mktemp("answer"), max_rows=15).add_data(ROWS).run().table("rows")


@pytest.mark.parametrize("after", [False, True])
def test_a_sink_that_fails_for_a_while_gets_every_epoch_once(tmp_path, answer, after):
    script = Script(ToyJob(), tmp_path, max_rows=15).add_data(ROWS)
    driver = script.driver()
    driver.sinks = [Flaky(driver.sinks[0], 4, after=after)]
    driver.start()
    assert_frame_equal(script.table("rows"), answer)
    assert sum(progress["retries"]["publish"] for progress in script.progress) == 4


def test_a_sink_that_stays_away_stops_the_job_which_goes_on_from_the_sealed_files(tmp_path, answer):
    script = Script(ToyJob(), tmp_path, max_rows=15).add_data(ROWS)
    driver = script.driver()
    driver.sinks = [Flaky(driver.sinks[0], 1000, after=False)]
    driver.settings = replace(driver.settings, publish_attempts=3)
    with pytest.raises(JobError, match=r"^flaky: epoch 1 .* was offered 3 times: ConnectionError: refused$"):
        driver.start()
    assert driver.checkpoint.last_commit() == 0
    again = script.driver()
    again.run = None  # the sealed epoch needs no run, the first thing that a next one would do
    with pytest.raises(TypeError):
        again.start()
    assert again.checkpoint.last_commit() == 1
    script.run()
    assert_frame_equal(script.table("rows"), answer)


class Forgetful:
    """A store whose answers are lost, twice for each seal and commit."""

    def __init__(self, store: Store) -> None:
        self.store, self.root, self.lost = store, store.root, Counter()

    def create(self, name: str, data: bytes) -> bool:
        created = self.store.create(name, data)
        if name.startswith(("seals/", "commits/")) and self.lost[name] < 2:
            self.lost[name] += 1
            raise ConnectionError("the answer was lost")
        return created

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def test_a_checkpoint_whose_answers_are_lost_has_every_epoch_once(tmp_path, answer):
    script = Script(ToyJob(), tmp_path, max_rows=15).add_data(ROWS)
    driver = script.driver()
    driver.checkpoint.store = Forgetful(driver.checkpoint.store)
    driver.start()
    assert_frame_equal(script.table("rows"), answer)
    assert [progress["batchId"] for progress in script.progress] == list(range(1, len(script.progress) + 1))
    assert all(progress["retries"]["checkpoint"] >= 2 for progress in script.progress)


def test_a_run_that_fails_is_planned_anew(tmp_path, answer):
    script = Script(ToyJob(), tmp_path, max_rows=15, clock=FakeClock()).add_data(ROWS)
    driver = script.driver()
    real, failures = driver.run, [OSError("a worker was lost"), JobError("a look-up failed")]

    def run() -> None:
        if failures:
            raise failures.pop()
        real()

    driver.run = run
    driver.start()
    assert_frame_equal(script.table("rows"), answer)
    assert script.progress[0]["retries"]["run"] == 2
    assert script.progress[0]["errors"] == {"run": "OSError: a worker was lost"}
    assert not script.progress[1]["errors"]
    assert driver.checkpoint.seal_of(1).attempt == "0001.0003"


def test_a_run_that_keeps_failing_stops_the_job(tmp_path):
    script = Script(ToyJob(), tmp_path).add_data(ROWS)
    driver, runs = script.driver(), []

    def run() -> None:
        runs.append(1)
        raise JobError("a look-up failed")

    driver.run = run
    with pytest.raises(JobError, match=r"^a look-up failed$"):
        driver.start()
    assert len(runs) == driver.settings.run_attempts
