"""Start a job: flags to driver, errors to exit statuses."""

import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from ecompulse import end_at_once
from ecompulse.epochs.errors import JobError, StateDamaged, Superseded, UserError
from ecompulse.epochs.masking import without_secrets
from ecompulse.io.signals import stop_on_signals
from ecompulse.io.terminal import say
from ecompulse.runners.quiet import quiet
from pipelines.common import COMMON
from pipelines.flags import Flag, Options, parse
from pipelines.places import check_places, check_services, is_fresh
from pipelines.topics import check_topics, reading_of

if TYPE_CHECKING:
    from ecompulse.epochs.driver import Driver
    from ecompulse.epochs.job import Job
    from ecompulse.epochs.protocols import Source

Found = TypeVar("Found")

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130
_NAMED: Final = 3  # files of a kind, in lines for people
_STARTS: Final = 5  # times that a service is asked at the start: some four seconds
_MUCH_LATE: Final = 0.01  # share of late rows from which something is wrong with their order

_WRAPPED: Final = re.compile(r" \[while running '[^']*'\]")  # what Beam adds to the text of a worker's error
TRACEBACK: Final = "ECOMPULSE_TRACEBACK"
"""Environment variable: when set, an error that nobody foresaw comes with its traceback."""


@dataclass(frozen=True)
class JobSpec:
    """A job as the command line sees it; importing one imports no Beam.

    Attributes:
        flags: those of its own.
        make: options to job; may raise UserError. Imports what it needs.
    """

    name: str
    summary: str
    flags: Sequence[Flag]
    make: Callable[[Options], "Job"]
    roles: Callable[[Options], Sequence[tuple[str, str]]] = lambda _options: ()
    """Options to further sources: (role, uri)."""
    needs_events: Callable[[Options], bool] = lambda _options: True
    """Whether `--source` is required."""
    advice: Callable[[Options, Mapping[str, int]], str] = lambda _options, _totals: ""
    """A line for whoever ran it, from the rows read (`input`) and written by table; empty for none."""


def main(spec: JobSpec, argv: Sequence[str] | None = None) -> int:
    """Run a job from the command line; returns the exit status."""
    return _guarded(spec.name, lambda: _run(spec, sys.argv[1:] if argv is None else argv))


def guarded(program: str, body: Callable[[], int]) -> int:
    """Run a tool; a user's mistake or a failure that can be resumed is one line on the terminal."""
    early = signal.getsignal(signal.SIGINT) is end_at_once
    if early:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a tool cleans up behind it
    try:
        return _guarded(program, body)
    finally:
        if early:
            signal.signal(signal.SIGINT, end_at_once)


def _guarded(program: str, body: Callable[[], int]) -> int:
    quiet()
    try:
        return body()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        foreseen = isinstance(error, UserError | JobError)
        if TRACEBACK in os.environ and not foreseen:
            raise
        text = _WRAPPED.sub("", str(error)).strip()
        if not foreseen:
            text = f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
        say(f"{program}: {without_secrets(text)}{_advice(error)}")
        return WRONG_USE if isinstance(error, UserError) else FAILED


def _advice(error: Exception) -> str:
    if isinstance(error, UserError | Superseded | StateDamaged):
        return ""
    return " (run it again to go on)" if isinstance(error, JobError) else f" ({TRACEBACK}=1 shows where)"


def _run(spec: JobSpec, argv: Sequence[str]) -> int:
    options = parse(f"python -m pipelines.{spec.name}", spec.summary, (*COMMON, *spec.flags), argv)
    if not options.source and spec.needs_events(options):
        raise UserError("--source: is required; see --help")
    check_places(spec.name, options)
    patiently = patience(spec.name, options)
    job = patiently(partial(spec.make, options))
    sources = patiently(partial(open_sources, spec, options))
    patiently(partial(check_topics, options))
    patiently(partial(check_services, job, options, writable=not options.check))
    if options.check:
        from pipelines.check import check

        return check(job, sources)
    if patiently(partial(is_fresh, spec.name, options)):
        from pipelines.check import check_headers

        check_headers(job, sources)
    stop = stop_on_signals(first=_say_so, again=lambda number: os._exit(128 + number))
    from pipelines.assemble import assemble
    from pipelines.report import is_live

    with assemble(job, sources, options, stop) as driver:
        committed = driver.start()
        status = _farewell(spec.name, driver, committed, shown=is_live(options.progress))
        advice = spec.advice(options, driver.totals)
        if advice and status == DONE:
            say(f"{spec.name}: {advice}")
        return status


def open_sources(spec: JobSpec, options: Options) -> list["Source"]:
    """The sources that a user named; UserError when nothing is there."""
    from ecompulse.epochs.protocols import EVENTS
    from ecompulse.io.sources import open_source

    wanted = [(EVENTS, uri) for uri in options.source] + list(spec.roles(options))
    files, order, reading = options.max_files_per_epoch, options.file_order, reading_of(options)

    def opened(index: int, role: str, uri: str) -> "Source":
        try:
            return open_source(
                uri,
                index,
                order=order,
                max_files=files,
                role=role,
                reading=reading,
                s3_endpoint=options.s3_endpoint,
                on_bad_file=options.on_bad_file,
            )
        except UserError as error:
            raise UserError(str(error).replace("--source:", f"--{flag_of(role)}:", 1)) from None

    sources = [opened(index, role, uri) for index, (role, uri) in enumerate(wanted)]
    _refuse_twice(sources)
    return sources


def _refuse_twice(sources: Sequence["Source"]) -> None:
    """UserError when two sources would read the same: all its rows would be there twice."""
    readers: dict[tuple[str, str], Source] = {}
    roles = Counter(source.role for source in sources)
    for source in sources:
        for name in sorted(source.reads() if roles[source.role] > 1 else ()):  # to list large folders takes its time
            other = readers.setdefault((source.role, name), source)
            if other is not source:
                alike = source.uri == other.uri
                said = f"{source.uri} is given twice" if alike else f"{source.uri} and {other.uri} both read {name}"
                raise UserError(f"--{flag_of(source.role)}: {said}; name it once")


def flag_of(role: str) -> str:
    """The flag that names sources of a role."""
    from ecompulse.epochs.protocols import EVENTS

    return "source" if role == EVENTS else role


def _say_so() -> None:
    os.write(2, b"stopping after the epoch in hand; once more to stop at once\n")  # print may be interrupted itself


def _farewell(name: str, driver: "Driver", committed: int, *, shown: bool) -> int:
    from ecompulse.epochs.protocols import REPLAY

    checkpoint = driver.checkpoint
    where = f"checkpoint {checkpoint.store.root} is at epoch {checkpoint.last_commit()}"
    if driver.stop.is_set():
        say(f"{name}: interrupted; {where}")
        return INTERRUPTED
    read, late, dead = (driver.totals[name] for name in ("input", "late_events", "dead_letters"))
    if dead and shown:
        say(f"{name}: {dead:,} of {read:,} rows are dead letters; `deadletters list` says why")
    if late > read * _MUCH_LATE:
        say(
            f"{name}: {late:,} of {read:,} rows were late; read files in the order of their events (--file_order), "
            "or raise --watermark_delay",
        )
    for path, why in list(driver.planner.unreadable.items())[:_NAMED]:
        say(f"{name}: {path}: {why}; it is tried again when it changes")
    waiting = driver.planner.waiting
    for path, size in list(waiting.items())[:_NAMED]:
        say(f"{name}: {path}: its last {size:,} bytes wait for their line end; --drain reads them")
    if len(waiting) > _NAMED:
        say(f"{name}: so do the last bytes of {len(waiting) - _NAMED:,} other files")
    if not committed and not checkpoint.last_commit():
        places = ", ".join(source.uri for source in driver.sources if source.role != REPLAY)
        say(f"{name}: no rows yet in {places}")
    elif not committed and not waiting:
        say(
            f"{name}: {where}, no new rows; a run from the beginning needs another --checkpoint, and --replace to take "
            "the place of these rows",
        )
    return DONE


@dataclass(frozen=True)
class Patience:
    """Calls at the start what asks services: one that does not answer is asked again, and the user is told."""

    program: str
    attempts: int

    def __call__(self, body: Callable[[], Found]) -> Found:
        """What `body` returns, or its last error."""
        from ecompulse.epochs.persistence import Persistence, may_pass

        said = Counter[str]()

        def ask() -> Found:
            try:
                return body()
            except JobError as error:
                if self.attempts > 1 and not said and may_pass(error):
                    said.update(["said"])
                    say(f"{self.program}: {without_secrets(str(error))} (trying again)")
                raise

        return Persistence(WallClock(), threading.Event())(ask, self.attempts, Counter(), "start", JobError)


def patience(program: str, options: Options) -> Patience:
    """As much as the start of a job has; with `--check` none."""
    return Patience(program, 1 if options.check else min(_STARTS, options.publish_attempts))


class WallClock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC, in ms."""
        return time.time_ns() // 1_000_000

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Sleep, or until `stop`."""
        stop.wait(seconds)
