"""Numbers as people read them; what is not known says so."""

from datetime import UTC, datetime
from typing import Final

UNKNOWN: Final = "unknown"
_KILO: Final = 1000
_STEPS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (_KILO, "s"))


def duration(ms: float | None) -> str:
    """1.5 min, 2 d 3 h; the two largest units."""
    if ms is None:
        return UNKNOWN
    if abs(ms) < _KILO:
        return f"{ms:.0f} ms"
    sign, left, words = "-" if ms < 0 else "", int(abs(ms)), []
    for step, unit in _STEPS:
        if left >= step:
            words.append(f"{left // step} {unit}")
            left %= step
    return sign + " ".join(words[:2])


def moment(ms: int | None) -> str:
    """2025-03-01 10:00:00, in UTC, the zone of every time on the page."""
    return UNKNOWN if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def number(value: object) -> str:
    """1,234 or 0.123; text stays as it is."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{float(str(value)):,.6g}"


def size(count: int) -> str:
    """1.2 MB."""
    left = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if left < _KILO:
            return f"{left:.3g} {unit}"
        left /= _KILO
    return f"{left:.3g} TB"
