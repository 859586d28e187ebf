"""Durations, in one grammar for flags, files and tools: `250ms`, `10s`, `1.5m`, `2h`, `7d`, or `0`."""

import re
from decimal import Decimal
from typing import Final

LONGEST_MS: Final = 36_500 * 86_400_000
"""A hundred years: what is longer is a slip, and times that it is added to would be none."""

EXAMPLES: Final = "250ms, 10s, 1.5m, 2h, 7d or 0"

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)


def parse_duration(value: object) -> int:
    """Milliseconds of a text such as `90s`, `1.5 h` or `0`; YAML's number 0 is one too.

    >>> parse_duration("1.5h")
    5400000

    Raises:
        ValueError: for anything else, for parts of a millisecond, and for more than 100 years.
    """
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        ms = Decimal(found[1]) * _UNITS[found[2]]
        if ms != int(ms):
            raise ValueError(f"{value!r} is finer than a millisecond")
        if ms > LONGEST_MS:
            raise ValueError(f"{value!r} is longer than 100 years (36500d)")
        return int(ms)
    if value in ("0", 0) and not isinstance(value, bool):
        return 0
    raise ValueError(f"{value!r} is no duration; write {EXAMPLES}")


def duration_text(ms: int) -> str:
    """The shortest whole text for a duration: `90s`, `10m`, `1d`; `0s` for none."""
    if ms == 0:
        return "0s"
    return next(f"{ms // unit}{name}" for name, unit in _UNITS.items() if ms % unit == 0)
