"""A job as a user runs it: real processes over real folders, and its tables afterwards."""

import importlib
import io
import json
import logging
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable

from ecompulse.epochs.steps import CRASH_AT
from support.forked import ForkedPopen
from support.script import comparable

PATIENCE = 240.0
"""Seconds after which a test stops waiting for a process."""

_DEAD = re.compile(r"^\w+: [\d,]+ of [\d,]+ rows are dead letters; `deadletters list` says why\n", re.MULTILINE)

REES46 = Path(__file__).parents[3] / "shared" / "data" / "rees46_2019-10-01_part1.csv.gz"


def events(count: int, start: int = 0) -> Iterator[str]:
    """JSON lines of events, four seconds apart, a little out of order; every 25th is bad, every 40th a copy."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    for number in range(start, start + count):
        copied = number - 1 if number % 40 == 39 else number
        event = {
            "event_id": f"e{copied}",
            "event_type": ("page_view", "add_to_cart", "search")[copied % 3],
            "event_time": (at + timedelta(seconds=4 * copied + copied * 7 % 5)).isoformat(),
            "user_id": f"u{copied % 37}",
            "product_id": f"p{copied % 11}",
            "price": copied % 90 / 4 if number % 25 != 24 else "cheap",
            "currency": "USD",
            "ip": f"81.2.69.{copied % 200}",
            "url": f"https://shop.example/p/{copied % 11}?utm_source=mail",
        }
        yield json.dumps(event)


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """A whole file at once, as a producer moves it into a watched folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    hidden.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return hidden.rename(path)


@dataclass
class Shop:
    """One job's checkpoint, lake, warehouse and JSON lines below a folder."""

    root: Path
    source: Path | str
    flags: tuple[str, ...] = ()
    job: str = "event_enrichment"
    backup: bool = False
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def arguments(self, *flags: str) -> list[str]:
        """The command line after the name of the job."""
        self.root.mkdir(parents=True, exist_ok=True)
        return [
            f"--source={self.source}",
            f"--checkpoint={self.root / 'checkpoint'}",
            f"--lake={self.root / 'lake'}",
            f"--warehouse=sqlite:///{self.root / 'warehouse.db'}",
            f"--sink=jsonl:{self.root / 'lines'}",
            *([f"--checkpoint_backup={self.root / 'backup'}"] if self.backup else []),
            *self.flags,
            *flags,
        ]

    @property
    def module(self) -> str:
        """The program."""
        return f"pipelines.{self.job}"

    def start(self, *flags: str, crash_at: str | None = None) -> subprocess.Popen[str]:
        """A process that runs the job."""
        environment = {**os.environ, **({CRASH_AT: crash_at} if crash_at else {})}
        process = ForkedPopen(
            [sys.executable, "-m", self.module, *self.arguments(*flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self.root,
        )
        self.started.append(process)
        return process

    def run(self, *flags: str, crash_at: str | None = None) -> tuple[int, str]:
        """Run the job to its end: exit status and what it said on stderr (`without_dead_letters`)."""
        process = self.start(*flags, crash_at=crash_at)
        _, said = process.communicate(timeout=PATIENCE)
        return process.returncode, without_dead_letters(said)

    def run_here(self, *flags: str) -> tuple[int, str]:
        """The same in this process, which has Beam imported already."""
        status, _, said = command(self.module, *self.arguments(*flags))
        return status, said

    def stop_all(self) -> None:
        """End what still runs."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables of all sinks by sink and name, ready to be compared."""
        lake = {
            f"lake {log.parent.name}": comparable(_delta(log.parent))
            for log in (self.root / "lake").glob("*/_delta_log")
        }
        lines = {
            f"lines {path.name[:-15]}": comparable(pl.read_ndjson(path, infer_schema_length=None))
            for path in (self.root / "lines").glob("*.jsonl")
        }
        return {**lake, **lines, **self._warehouse()}

    def _warehouse(self) -> dict[str, pl.DataFrame]:
        if not (self.root / "warehouse.db").exists():
            return {}
        with sqlite3.connect(self.root / "warehouse.db") as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'ecompulse%'"
            names = [name for (name,) in connection.execute(query)]
            found = {}
            for name in names:
                cursor = connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608  # a name from the catalogue
                columns = [column for column, *_ in cursor.description]
                found[f"warehouse {name}"] = comparable(pl.DataFrame(cursor.fetchall(), schema=columns, orient="row"))
        connection.close()
        return found


def without_dead_letters(said: str) -> str:
    """What a job said, but how many rows are dead letters: `events` has some, so that there always are."""
    return _DEAD.sub("", said)


def command(module: str, *arguments: str) -> tuple[int, str, str]:
    """Run a job or tool in this process: exit status, stdout, stderr (`without_dead_letters`).

    Its signal handlers and quiet end with it.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    level, out, err = logging.getLogger().level, io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = importlib.import_module(module).main(list(arguments))
    except SystemExit as leaving:  # --help
        status = int(leaving.code or 0)
    finally:
        logging.getLogger().setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return status, out.getvalue(), without_dead_letters(err.getvalue())


def _delta(path: Path) -> pl.DataFrame:
    frame = pl.from_arrow(DeltaTable(str(path)).to_pyarrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def next_progress(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of progress of a running job."""
    assert process.stdout is not None
    waiting = select.poll()  # select() knows no file above 1,024, and this process has opened many
    waiting.register(process.stdout, select.POLLIN)
    line = process.stdout.readline() if waiting.poll(PATIENCE * 1000) else ""
    if not line:
        process.kill()
        raise AssertionError(f"no progress; it said: {process.communicate()[1]}")
    progress: dict[str, Any] = json.loads(line)
    return progress


def finished(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit status of a process that is to end by itself, and its lines on stderr."""
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, without_dead_letters(said).splitlines()


def wait_until(condition: Any) -> None:
    """Until something outside has happened; AssertionError when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
