"""Measuring whole processes: CPU seconds and peak memory as the system accounts them, medians of several runs."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
THREADS = "1"
"""Threads of Polars: steadier figures per CPU-second on shared machines."""


@dataclass(frozen=True)
class Cost:
    """What a process took: CPU seconds (user and system), peak resident memory in MB, seconds of wall if measured."""

    cpu: float
    peak_mb: float
    wall: float = 0.0


def process(arguments: Sequence[str], cwd: Path) -> Cost:
    """Run Python with `arguments`; RuntimeError with its last words when it fails."""
    environment = {**os.environ, "POLARS_MAX_THREADS": THREADS}
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        assert child.stderr is not None  # noqa: S101  # a pipe was asked for
        said = child.stderr.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {said[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def tree(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[Cost, str]:
    """Run a command from the project's folder: the cost of it and all that it starts, and what it printed last.

    RuntimeError with its last words when it fails. Threads are as everybody gets them: wall counts here, too.
    """
    watched = [sys.executable, "-m", "benchmarks.tree"]
    with tempfile.NamedTemporaryFile("r") as facts, tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            [*watched, facts.name, *command], cwd=ROOT, env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE, stderr=said, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {said.read()[-2000:]}{done.stdout[-2000:]}")
        found = json.load(facts)
    lines = done.stdout.strip().splitlines()
    return Cost(found["cpu"], found["peak_mb"], found["wall"]), lines[-1] if lines else ""


def median(run: Callable[[], Cost], times: int = 5) -> Cost:
    """Median cost of several runs."""
    costs = [run() for _ in range(times)]
    return Cost(statistics.median(c.cpu for c in costs), statistics.median(c.peak_mb for c in costs))


def cpu_of(body: Callable[[], Any]) -> float:
    """CPU seconds of this process for `body`."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    body()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
