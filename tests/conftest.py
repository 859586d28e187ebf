"""Settings of all tests, which of them run when, and the servers that some of them need."""

import os
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from support.examples import NIGHT, STANDARD, tried
from support.skips import REQUIRED, skipped

pytest_plugins = ["services.fixtures", "support.native"]

LONG: Final = 20.0
"""Seconds from which a test wants the mark `heavy`."""

WHOLE: Final = frozenset(
    ("badday", "crash", "examples", "extending", "packaging", "pipelines", "reliability", "runner_configs", "services")
)
"""Folders whose tests run whole jobs or tools: all of them are `slow`."""

# How long an example takes depends on who else is at work on the machine: no deadline, and a slow start is no fault.
# CI runs the same examples for the same code: what is looked for anew is looked for where someone can look into it.
settings.register_profile(
    "ecompulse",
    max_examples=tried(STANDARD),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
settings.load_profile("ecompulse")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the night's tests to the night, and begin with the files that take longest."""
    for item in items:
        if WHOLE.intersection(item.path.relative_to(config.rootpath / "tests").parts):
            item.add_marker(pytest.mark.slow)
    named = any("::" in argument for argument in config.args)
    if not NIGHT and not named:
        kept = [item for item in items if item.get_closest_marker("night") is None]
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("night")])
        items[:] = kept
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += _weight(item)
    items.sort(key=lambda item: -weights[item.path])  # stable: a file's tests stay together, in their order


def _weight(item: pytest.Item) -> int:
    """Seconds, in orders of magnitude."""
    return next((weight for mark, weight in (("heavy", 40), ("slow", 4)) if item.get_closest_marker(mark)), 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that take long and have no mark that says why, and the reasons of those that were skipped."""
    for report in terminalreporter.getreports("passed"):
        if report.when == "call" and report.duration > LONG and "heavy" not in report.keywords:
            terminalreporter.write_line(f"took {report.duration:.0f} s, without the mark `heavy`: {report.nodeid}")
    table, others = skipped(terminalreporter.getreports("skipped"))
    for reason, tests in table.items():
        terminalreporter.write_line(f"skipped {tests:4}: {reason}")
    for line in others:
        terminalreporter.write_line(f"skipped for a reason that support/skips.py does not know: {line}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is to be run, a test that was skipped for a reason that `skips` does not know is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(REQUIRED) == "1" and reporter is not None and skipped(reporter.getreports("skipped"))[1]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
