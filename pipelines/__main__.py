"""`ecompulse <job or tool>`: the same as `python -m pipelines.<job or tool>`."""

import importlib
import sys
from collections.abc import Sequence
from typing import Final

COMMANDS: Final = {
    "event_enrichment": "enrich events with user, product, place and device",
    "session_analytics": "sessions, funnels, abandonment",
    "demo": "simulate a shop and run the jobs on it",
    "show": "read a table of the lake",
    "checkpoint": "inspect, verify, fork or reshard a checkpoint",
    "lake": "compact or vacuum the tables of a lake",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        if arguments and arguments[0] not in {"-h", "--help"}:
            print(f"ecompulse: {arguments[0]}: no such command", file=sys.stderr)
        print("usage: ecompulse COMMAND [flags]; each has --help", file=sys.stderr)
        for name, text in COMMANDS.items():
            print(f"  {name:<18} {text}", file=sys.stderr)
        return 0 if arguments and arguments[0] in {"-h", "--help"} else 2
    return int(importlib.import_module(f"pipelines.{arguments[0]}").main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
