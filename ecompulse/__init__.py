"""Real-time e-commerce jobs on Apache Beam: `ecompulse.kernels`, `.transforms`, `.epochs`, `.io`, `.runners`."""

import atexit
import os
import signal
import sys

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once(_number: int, _frame: object) -> None:
    """Handler of signals while a program of ours is imported, and until it has something to finish."""
    os._exit(130)


def _is_program() -> bool:
    """Whether this process was started to run one of our commands, rather than something that imports us."""
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1] if "-m" in sys.orig_argv else []
    run = module[0] if module else os.path.basename(sys.argv[0])  # noqa: PTH119  # pathlib is slow to import
    return run.split(".", maxsplit=1)[0] in {"ecompulse", "pipelines"}


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if _is_program():  # the first thing that happens: Beam and Polars take seconds to import
    for _number in _SIGNALS:
        signal.signal(_number, end_at_once)
    atexit.register(_ignore)  # the last thing: Python would die of a signal while it takes itself apart
