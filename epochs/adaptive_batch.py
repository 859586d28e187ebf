"""How many rows the next epoch may have, so that epochs take about the target time."""

from typing import Final

TARGET_MS: Final = 10_000
"""Target duration of the run of an epoch."""

FIRST_ROWS: Final = 100_000
LEAST_ROWS: Final = 10_000
MOST_ROWS: Final = 200_000
"""Bounds the memory of an epoch."""


def next_limit(limit: int, rows: int, run_ms: int) -> int:
    """The limit of rows after an epoch that had `rows` under `limit` and ran for `run_ms`.

    An epoch that took longer than the target lowers the limit, at most to half. An epoch that was full and faster
    raises it, at most to double. An epoch of few rows changes nothing: most of its cost is starting a pipeline.
    """
    if rows <= 0 or run_ms <= 0:
        return limit
    wanted = rows * TARGET_MS // run_ms
    if run_ms > TARGET_MS:
        moved = max(limit // 2, min(limit, wanted))
    elif rows >= limit:
        moved = min(limit * 2, max(limit, wanted))
    else:
        return limit
    return max(LEAST_ROWS, min(MOST_ROWS, moved))
