"""Reads a `--source` to its end, in a process whose memory is bounded, and tells what it found as JSON."""

import json
import sys
from typing import Any

from ecompulse.epochs.protocols import Source
from ecompulse.io.sources import SourceContext, open_source
from ecompulse.kernels.decode import decode

NOW = 1_900_000_000_000


def read(source: Source, rows: int) -> dict[str, int]:
    """Rows that are good and dead, and the plans that it took."""
    positions: dict[str, Any] = {}
    found = {"good": 0, "dead": 0, "plans": 0}
    while True:
        backlog = source.plan(positions, rows, {}, whole=True)
        if not backlog.splits:
            return found
        found["plans"] += 1
        for split in backlog.splits:
            for frame in source.reader().read(split):
                decoded = decode(frame, NOW)
                found["good"] += decoded.events.height
                found["dead"] += decoded.dead.height
        positions |= backlog.positions


if __name__ == "__main__":
    print(json.dumps(read(open_source(sys.argv[1], SourceContext(0, max_files=1000)), 100_000)))  # noqa: T201
