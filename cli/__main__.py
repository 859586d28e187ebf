"""`ecompulse <job or tool>`: the same as `python -m pipelines.<job or tool>`."""

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Final, TextIO

from ecompulse.io.terminal import say

JOBS: Final = {
    "event_enrichment": "enrich events with user, product, place and device",
    "session_analytics": "sessions, funnels, abandonment",
    "realtime_metrics": "KPIs in tumbling and sliding windows, alerts on them",
    "anomaly_detection": "fraud scores and anomalies of KPIs, learnt on the stream",
}

TOOLS: Final = {
    "demo": "simulate a shop and run the jobs on it",
    "status": "all jobs at a glance: epochs, watermark, backlog, lag",
    "show": "read a table of the lake",
    "dictionary": "what the tables and their columns mean; for dbt and DuckDB too",
    "audit": "was anything lost? a checkpoint against its sinks",
    "alerts": "alerts of a job: told, waiting, refused",
    "checkpoint": "inspect, verify, fork or reshard a checkpoint",
    "mapping": "draft a mapping of a file, or print a shipped one",
    "lookups": "fill a look-up store from a file",
    "deadletters": "list, show or replay dead letters",
    "lake": "compact or vacuum the tables of a lake",
    "ui": "the live page: jobs, the shop, dead letters",
    "submit": "print or run the command that runs a job on its engine",
}

COMMANDS: Final = {**JOBS, **TOOLS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in {"-h", "--help"}:
        _usage(sys.stdout)
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        if arguments:
            near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            say(f"ecompulse: {arguments[0]}: no such command{hint}")
        _usage(sys.stderr)
        return 2
    room = "pipelines" if arguments[0] in JOBS else "ecompulse.cli"
    try:
        command = importlib.import_module(f"{room}.{arguments[0]}")
    except ModuleNotFoundError as error:
        if error.name != f"{room}.{arguments[0]}":
            raise
        [foreign, *_] = importlib.import_module(room).__path__
        say(f"ecompulse: {foreign} stands before the jobs of ecompulse on Python's path; run it from another folder")
        return 2
    return int(command.main(arguments[1:]))


def _usage(to: TextIO) -> None:
    print("usage: ecompulse COMMAND [flags]; each has --help", file=to)
    for name, text in COMMANDS.items():
        print(f"  {name:<18} {text}", file=to)
