"""The steps of an epoch, by name: progress reports their durations, crash tests kill between them.

A new step is a new member; the crash script takes its kill points from here.
"""

import os
import signal
from collections.abc import Callable
from enum import StrEnum

CRASH_AT = "ECOMPULSE_CRASH_AT"
"""Environment variable `step` or `step:occurrence` (from 1): the process kills itself there. For tests."""


class Step(StrEnum):
    """Boundaries that an epoch passes, in this order."""

    PLANNED = "planned"
    READING = "reading"
    WRITING = "writing"
    RAN = "ran"
    BEFORE_SEAL = "before_seal"
    SEALED = "sealed"
    BACKED_UP = "backed_up"
    LAKE_BEFORE_COMMIT = "lake.before_commit"
    LAKE_COMMITTED = "lake.committed"
    JSONL_APPENDED = "jsonl.appended"
    JSONL_RECORDED = "jsonl.recorded"
    WAREHOUSE_BEFORE_COMMIT = "warehouse.before_commit"
    WAREHOUSE_COMMITTED = "warehouse.committed"
    KAFKA_INITIALISED = "kafka.initialised"
    KAFKA_LEDGER_READ = "kafka.ledger_read"
    KAFKA_BEGUN = "kafka.begun"
    KAFKA_WRITTEN = "kafka.written"
    KAFKA_LEDGER_SENT = "kafka.ledger_sent"
    KAFKA_COMMITTED = "kafka.committed"
    ALERTS_KEPT = "alerts.kept"
    ALERTS_RECORDED = "alerts.recorded"
    ALERTS_SENT = "alerts.sent"
    PUBLISHED = "published"
    COMMITTED = "committed"
    COLLECTING = "collecting"
    COLLECTED = "collected"


_counts: dict[Step, int] = {}
_observers: list[Callable[[Step], None]] = []


def reach(step: Step) -> None:
    """Report that a step boundary was reached; the process dies here when the environment asks for it."""
    for observer in _observers:
        observer(step)
    wanted = os.environ.get(CRASH_AT)
    if not wanted:
        return
    _counts[step] = _counts.get(step, 0) + 1
    name, _, occurrence = wanted.partition(":")
    if name == step.value and _counts[step] == int(occurrence or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def observe(observer: Callable[[Step], None]) -> Callable[[], None]:
    """Call `observer` at each boundary, until the function returned is called."""
    _observers.append(observer)
    return lambda: _observers.remove(observer)
