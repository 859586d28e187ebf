"""Progress on the terminal: a live line, or JSON lines."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ecompulse.io.terminal import printable, say
from ecompulse.kernels.bots import ACCOUNTS as BOTS

Report = Callable[[Mapping[str, Any]], None]


def reporter(mode: str) -> Report:
    """The function that shows an epoch's progress: `auto json line none`."""
    if mode == "none":
        return lambda _progress: None
    if is_live(mode):
        return _unread(_line)
    return _unread(_json)


def is_live(mode: str) -> bool:
    """Whether somebody looks on."""
    return mode == "line" or (mode == "auto" and sys.stdout.isatty())


def _unread(show: Report) -> Report:
    """A job goes on when nobody reads its progress any more."""

    def shown(progress: Mapping[str, Any]) -> None:
        if line := late_line(progress):
            say(line)
        try:
            show(progress)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return shown


def _json(progress: Mapping[str, Any]) -> None:
    print(json.dumps(progress), flush=True)


def _told_apart(progress: Mapping[str, Any]) -> str:
    """What became of the rows, good and bad; nothing of what is not there."""
    accounts = sorted(progress["accounts"].items(), key=lambda account: -account[1])
    told = ", ".join(f"{rows:,} {name}" for name, rows in accounts if rows)
    return f" ({told})" if told else ""


def late_line(progress: Mapping[str, Any]) -> str | None:
    """What to say of an epoch all of whose events came too late; None for any other."""
    late, good = progress["sink"]["tables"].get("late_events", 0), progress["counts"].get("events", 0)
    if not late or late < good - sum(progress["accounts"].get(account, 0) for account in BOTS):
        return None
    return (
        f"epoch {progress['batchId']}: all {late:,} events were late: they are before the watermark, "
        f"{progress['eventTime']['watermark']}, and are in late_events"
    )


def _line(progress: Mapping[str, Any]) -> None:
    watermark = progress["eventTime"]["watermark"] or "unknown"
    text = (
        f"epoch {progress['batchId']}: {progress['numInputRows']:,} rows in{_told_apart(progress)}, "
        f"{progress['sink']['numOutputRows']:,} out, {progress['processedRowsPerSecond']:,.0f} rows/s, "
        f"{progress['durationMs']['total']:,} ms, watermark {watermark}"
    )
    print(f"\r\x1b[K{printable(text)}", end="" if progress["backlog"] else "\n", flush=True)
