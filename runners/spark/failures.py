"""What a worker said last, out of what Spark makes of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TRACEBACK: Final = "Traceback (most recent call last):"
_PY4J: Final = "An error occurred while calling "
_LATEST: Final = "most recent failure: "
_RAISED: Final = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")


class TaskFailed(RuntimeError):  # noqa: N818  # what happened, as Beam's own errors are called
    """A Spark job failed; the text is what the worker raised, or what Spark says when no Python was at work."""


def last_line(text: str) -> str:
    """The error that ends the last Python traceback in a text, else what Spark says of its last failure, in a line."""
    _, found, traceback = text.rpartition(_TRACEBACK)
    if found:
        for line in traceback.splitlines():
            if _RAISED.match(line):
                return line.strip()
    lines = [line.strip().removeprefix(": ") for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(_PY4J)]
    return said[0].rpartition(_LATEST)[2] if said else "no message"


@contextmanager
def readable_failures() -> Iterator[None]:
    """TaskFailed, with a worker's or Spark's own last line, in place of what PySpark and Py4J make of it."""
    from py4j.protocol import Py4JError  # noqa: PLC0415  # comes with PySpark, an extra
    from pyspark.errors import PySparkException  # noqa: PLC0415  # an extra

    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise TaskFailed(last_line(str(error))) from error
