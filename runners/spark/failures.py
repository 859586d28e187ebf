"""What a worker said last, out of what Spark makes of it."""

import re
from typing import Final

_TRACEBACK: Final = "Traceback (most recent call last):"
_RAISED: Final = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")


class TaskFailed(RuntimeError):  # noqa: N818  # what happened, as Beam's own errors are called
    """A Spark job failed; the text is what the worker raised, or what Spark says when no Python was at work."""


def last_line(text: str) -> str:
    """The error that ends the last Python traceback in a text, else the text's first line."""
    _, found, traceback = text.rpartition(_TRACEBACK)
    if found:
        for line in traceback.splitlines():
            if _RAISED.match(line):
                return line.strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no message"
