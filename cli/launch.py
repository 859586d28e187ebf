"""Start a job: flags to driver, errors to exit statuses."""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ecompulse.cli.guard import DONE, run_guarded
from ecompulse.cli.job import Build, ComposedJob, JobSpec
from ecompulse.cli.plugins import load_plugins
from ecompulse.cli.settings import JobSettings, Kind, read_settings
from ecompulse.epochs.errors import UserError
from ecompulse.io.signals import stop_on_signals
from ecompulse.io.terminal import say

if TYPE_CHECKING:
    from ecompulse.cli.report import Report


def run(name: str, summary: str, build: Build, argv: Sequence[str] | None = None) -> int:
    """Run a job that has no flags of its own; returns the exit status.

    Args:
        name: part of table rows, ledgers and the default checkpoint.
        summary: for --help.
        build: composes the pipeline.
        argv: the command line, without the program [sys.argv].
    """
    return main(JobSpec(name, summary, JobSettings, lambda _settings, _intake: ComposedJob(build)), argv)


def main(spec: JobSpec[Kind], argv: Sequence[str] | None = None) -> int:
    """Run a job from the command line; returns the exit status."""
    if argv is not None:
        return run_guarded(spec.name, lambda: _run(spec, argv))
    # What a start makes, it keeps: looking through it for garbage, again and again, costs a fifth of the start.
    gc.disable()
    try:
        return run_guarded(spec.name, lambda: _run(spec, sys.argv[1:], started=_keep_all))
    finally:
        gc.unfreeze()  # extension modules complain of what is left at the end of the process


def _keep_all() -> None:
    """Leave what there is now out of all collections of garbage to come."""
    gc.freeze()
    gc.enable()


def _run(spec: JobSpec[Kind], argv: Sequence[str], started: Callable[[], None] = lambda: None) -> int:
    settings = read_settings(f"python -m pipelines.{spec.name}", spec.summary, spec.settings, argv)
    load_plugins(settings.running.plugin)
    if not settings.inputs.source and settings.own.needs_events:
        raise UserError("--source: is required; see --help")
    # From here on: whoever only asks for --help need not wait for what follows to be imported.
    from ecompulse.cli.config import open_intake
    from ecompulse.cli.own_files import check_own_files
    from ecompulse.cli.patience import patience
    from ecompulse.cli.places import check_places, check_stores, is_fresh
    from ecompulse.cli.sinks import check_sinks
    from ecompulse.cli.sources import open_sources, refuse_other_files

    places, checking = settings.places, settings.running.check
    check_places(spec.name, places)
    patiently = patience(spec.name, 1 if checking else settings.epochs.publish_attempts)
    intake = patiently(partial(open_intake, settings.inputs, settings.lookups, settings.time))
    job = spec.make(settings, intake)
    if settings.alerts.alert or settings.alerts.alert_routes:
        from ecompulse.cli.alerting import check_alerting

        check_alerting(settings.alerts, job)
    sources = patiently(partial(open_sources, settings, intake.mapping))
    check_own_files(spec.name, settings, sources)
    patiently(partial(check_sinks, settings.outputs, settings.kafka))
    patiently(partial(check_stores, spec.name, places, writable=not checking))
    if checking:
        from ecompulse.cli.check import check

        return check(spec.name, job.build, intake, sources, places)
    unrated = ""
    if patiently(partial(is_fresh, spec.name, places)):
        from ecompulse.cli.check import check_headers

        if settings.epochs.drain:
            refuse_other_files(sources)
        check_headers(intake, sources)
        from ecompulse.cli.unrated import unrated_of

        unrated = unrated_of(intake, sources)
    stop = stop_on_signals(first=_say_so, again=lambda number: os._exit(128 + number))
    from ecompulse.cli.assemble import assemble
    from ecompulse.cli.farewell import farewell, say_passed_over
    from ecompulse.cli.unfound import UnfoundKeys

    with assemble(spec.name, job.build, intake, sources, settings, stop) as driver:
        if unrated:
            driver.report = _said_first(f"{spec.name}: {unrated}", driver.report)
        unfound = UnfoundKeys()
        driver.report = unfound.watching(driver.report)
        if settings.endless:
            say_passed_over(spec.name, sources)  # who follows a stream waits long for its end
        started()
        committed = driver.start()
        status = farewell(spec.name, driver, committed)
        advice = [*unfound.lines(), *filter(None, [settings.own.advice(driver.totals)])]
        for line in advice if status == DONE else ():
            say(f"{spec.name}: {line}")
        return status


def _said_first(line: str, report: "Report") -> "Report":
    """Progress after a line: it comes with the first epoch, once nothing is in the way of the job any more."""
    left = [line]

    def shown(progress: Mapping[str, Any]) -> None:
        while left:
            say(left.pop())
        report(progress)

    return shown


def _say_so() -> None:
    os.write(2, b"stopping after the epoch in hand; once more to stop at once\n")  # print may be interrupted itself
