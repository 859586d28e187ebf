"""What probes say, and when: under a silent run, a broker that is away, a disk that is full, a long trigger."""

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecompulse.epochs.driver import Driver
from ecompulse.epochs.driver_settings import Settings, Trigger
from ecompulse.epochs.errors import JobError
from ecompulse.epochs.health import Health, ObservedClock
from ecompulse.epochs.steps import Step, observe
from support.script import FakeClock, Script
from support.toy import ToyJob, rows

LIMIT = 600.0


def fake_health(limit: float = LIMIT) -> tuple[Health, FakeClock]:
    clock = FakeClock()
    return Health(limit, lambda: clock.at / 1000), clock


@pytest.mark.parametrize(
    ("sign", "silence", "good"),
    [
        (lambda health: None, 600, True),
        (lambda health: None, 601, False),
        (lambda health: health.reached(Step.PLANNED), 600, True),
        (lambda health: health.reached(Step.PLANNED), 601, False),
        (lambda health: health.turned(), 601, False),
        (lambda health: health.pauses(3600), 4200, True),
        (lambda health: health.pauses(3600), 4201, False),
        (lambda health: (health.pauses(3600), health.turned()), 601, False),
    ],
)
def test_silence_is_measured_from_the_last_sign_of_life(
    sign: Callable[[Health], Any], silence: float, good: bool
) -> None:
    health, clock = fake_health()
    clock.wait(10_000, threading.Event())
    health.reached(Step.COMMITTED)
    sign(health)
    clock.wait(silence, threading.Event())
    assert health.alive().good is good


def test_it_says_what_came_last() -> None:
    health, clock = fake_health()
    assert health.alive().text == "alive: 0 s since the start"
    health.reached(Step.SEALED)
    clock.wait(612, threading.Event())
    assert health.alive().text == "stuck: 612 s since the step sealed, more than the limit of 600 s"


def test_an_epoch_that_went_on_is_alive_again() -> None:
    health, clock = fake_health()
    clock.wait(700, threading.Event())
    assert not health.alive().good
    health.reached(Step.RAN)
    assert health.alive().good


def test_it_is_ready_once_the_loop_has_turned() -> None:
    health, clock = fake_health()
    health.reached(Step.RAN)
    health.pauses(1)  # before a run is tried again
    assert (health.ready().good, health.ready().text) == (False, "not ready: no epoch was committed since the start")
    health.turned()
    clock.wait(10_000, threading.Event())
    assert health.ready().good  # what is stuck is for /livez to say


@contextmanager
def watched(script: Script, settings: Settings | None = None) -> Iterator[tuple[Driver, Health]]:
    """A driver as `assemble` wires it, on fake time."""
    health = Health(LIMIT, lambda: script.clock.at / 1000)
    driver = script.driver()
    driver.clock, driver.turned = ObservedClock(script.clock, health), health.turned
    driver.settings = settings or driver.settings
    forget = observe(health.reached)
    try:
        yield driver, health
    finally:
        forget()


def test_a_run_that_hangs_is_not_alive_after_the_limit_and_was_before(tmp_path: Path) -> None:
    script = Script(ToyJob(), tmp_path).add_data(rows(5))
    with watched(script) as (driver, health):
        found = []
        really = driver.run

        def run() -> None:  # a look-up without an answer, a mount that is gone, Spark without executors
            for _ in range(3):
                found.append((health.alive().good, health.ready().good))
                script.clock.wait(400, driver.stop)
            really()

        driver.run = run
        driver.start()
        assert found[:3] == [(True, False), (True, False), (False, False)]
        assert (health.alive().good, health.ready().good) == (True, True)


class AwaySink:
    """A broker that is away: it refuses after a minute, each time."""

    name = "kafka"

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.asked = clock, threading.Event()
        self.seen: list[bool] = []
        self.health: Health | None = None

    def open(self, tables: Any, owner: Any) -> None: ...

    def publish(self, table: Any, epoch: int, files: Any) -> None:
        self.clock.wait(60, self.asked)
        assert self.health is not None
        self.seen.append(self.health.alive().good)
        raise JobError("kafka: no broker answers")


def test_a_broker_that_is_away_is_told_by_the_exit_not_by_the_probe(tmp_path: Path) -> None:
    script = Script(ToyJob(), tmp_path).add_data(rows(5))
    with watched(script, Settings(publish_attempts=30)) as (driver, health):
        sink = AwaySink(script.clock)
        sink.health, driver.sinks = health, [sink]
        with pytest.raises(JobError, match="no broker answers"):
            driver.start()
        assert sink.seen == [True] * 30  # half an hour: it is trying, and restarting it would help nobody
        assert not health.ready().good


def test_a_full_disk_ends_the_job_before_any_probe_fails(tmp_path: Path) -> None:
    script = Script(ToyJob(), tmp_path).add_data(rows(5))
    with watched(script) as (driver, health):

        def full() -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        driver.run = full
        with pytest.raises(OSError, match="No space"):
            driver.start()
        assert (health.alive().good, health.ready().good) == (True, False)


@pytest.mark.parametrize("interval", [10.0, 3600.0])
def test_a_job_without_input_is_ready_and_alive_whatever_its_trigger(tmp_path: Path, interval: float) -> None:
    script = Script(ToyJob(), tmp_path, drain=False)
    with watched(script, Settings(Trigger(interval))) as (driver, health):
        found: list[tuple[bool, bool]] = []

        def pause(seconds: float, stop: threading.Event) -> None:
            script.clock.at += round(seconds * 1000)
            found.append((health.alive().good, health.ready().good))
            if len(found) == 3:
                stop.set()

        driver.clock = ObservedClock(Pausing(script.clock, pause), health)
        driver.start()
        assert found == [(True, True)] * 3


class Pausing:
    """A clock whose pauses the test makes."""

    def __init__(self, clock: FakeClock, pause: Callable[[float, threading.Event], None]) -> None:
        self.now, self.wait = clock.now, pause
