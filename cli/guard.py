"""Errors to exit statuses: a user's mistake, or a failure that can be resumed, is one line on the terminal."""

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Final

from ecompulse import end_at_once
from ecompulse.cli.plugins import load_plugins
from ecompulse.epochs.errors import JobError, StateDamaged, Superseded, UserError
from ecompulse.epochs.masking import without_secrets
from ecompulse.io.terminal import say
from ecompulse.runners.quiet import quiet

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130

_WRAPPED: Final = re.compile(r" \[while running '[^']*'\]")  # what Beam adds to the text of a worker's error
TRACEBACK: Final = "ECOMPULSE_TRACEBACK"
"""Environment variable: when set, an error that nobody foresaw comes with its traceback."""


def guarded(program: str, body: Callable[[], int]) -> int:
    """Run a tool; a user's mistake or a failure that can be resumed is one line on the terminal."""
    early = signal.getsignal(signal.SIGINT) is end_at_once
    if early:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a tool cleans up behind it
    try:
        return run_guarded(program, body)
    finally:
        if early:
            signal.signal(signal.SIGINT, end_at_once)


def run_guarded(program: str, body: Callable[[], int]) -> int:
    """The same, with the handlers of signals as they are."""
    quiet()
    try:
        load_plugins()
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
