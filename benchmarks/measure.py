"""Measuring whole processes: CPU seconds and peak memory as the system accounts them, medians of several runs."""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THREADS = "1"
"""Threads of Polars: steadier figures per CPU-second on shared machines."""


@dataclass(frozen=True)
class Cost:
    """What a process took: CPU seconds (user and system), peak resident memory in MB."""

    cpu: float
    peak_mb: float


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
