"""Numbers as people read them; what is not known says so."""

from datetime import UTC, datetime
from typing import Any, Final

UNKNOWN: Final = "unknown"
_KILO: Final = 1000
_FULL: Final = 999.5
"""Three digits show it, and more, as 1000: the next unit begins."""
_STEPS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (_KILO, "s"))
_NAMES: Final = {"d": "days", "h": "hours", "min": "minutes", "s": "seconds"}


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


def largest_unit(ms: float) -> tuple[int, str]:
    """The unit (in ms, and its name) in which a time is at least two; else the second."""
    size, unit = next((step for step in _STEPS if ms >= 2 * step[0]), _STEPS[-1])
    return size, _NAMES[unit]


def moment(ms: int | None) -> str:
    """2025-03-01 10:00:00, in UTC, the zone of every time on the page."""
    return UNKNOWN if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


class Amount(float):
    """Money, which is shown with two decimals."""


def as_amount(value: Any) -> Amount | None:
    """A value of money; None for one that is not known."""
    return None if value is None else Amount(value)


def number(value: object) -> str:
    """1,234 or 0.123, 1,234.50 for an Amount; text stays as it is."""
    if value is None:
        return UNKNOWN
    if isinstance(value, Amount):
        return f"{value:,.2f}"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    rounded = f"{float(str(value)):,.6g}"
    return f"{float(str(value)):,.0f}" if "e+" in rounded else rounded


def short(value: float) -> str:
    """A number for an axis: 1,234 as 1.23k."""
    for unit, base in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= base * _FULL / _KILO:
            return f"{value / base:.3g}{unit}"
    return f"{value:.3g}"


def size(count: int) -> str:
    """1.2 MB."""
    left = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if left < _FULL:
            return f"{left:.3g} {unit}"
        left /= _KILO
    return f"{left:.3g} TB"
