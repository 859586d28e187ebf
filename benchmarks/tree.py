"""`python -m benchmarks.tree FACTS COMMAND...`: run a command, and account for it and all that it starts.

Orphans (a JVM that outlives its Python, forked workers) are adopted and waited for, so that the system's own figures
have everybody: CPU seconds need no polling. Memory is the greatest sum of resident sets seen, a look each 0.2 s; pages
that forked processes share count once for each. Linux only.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import psutil

EACH: Final = 0.2  # seconds between two looks at memory
PATIENCE: Final = 30.0  # seconds that an orphan may live on
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER


def watch(peak: list[int], done: threading.Event) -> None:
    """Keep the greatest sum of resident memory of all below this process, in bytes."""
    while not done.wait(EACH):
        total = 0
        for process in psutil.Process().children(recursive=True):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
        peak[0] = max(peak[0], total)


def adopt() -> None:
    """Wait for what the command has left behind; what does not end is ended."""
    deadline = time.monotonic() + PATIENCE
    while left := psutil.Process().children(recursive=True):
        if time.monotonic() > deadline:
            for process in left:
                process.kill()
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        time.sleep(0.05)


def main(facts: str, *command: str) -> int:
    """Run it; returns its exit code."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    peak, done = [0], threading.Event()
    looking = threading.Thread(target=watch, args=(peak, done))
    looking.start()
    began = time.monotonic()
    try:
        code = subprocess.run(command, check=False).returncode
        wall = time.monotonic() - began
        adopt()
    finally:
        done.set()
        looking.join()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "peak_mb": peak[0] / 1024**2}
    Path(facts).write_text(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
