"""Windows of whole days in a timezone: the same arithmetic as in UTC, on an axis of local days.

A moment on that axis is its local date's number of days since 1970, in ms of 24-hour days; a day of 23 hours is
as long as any other there. A midnight that the clock skips is the first moment after it, one that comes twice
is the earlier.
"""

from datetime import timedelta
from functools import partial
from typing import Final

import polars as pl

from ecompulse.kernels.metrics.definition import DAY_MS, Window

_LONGEST_LEAP: Final = timedelta(days=1)
LAST_MS: Final = 253_402_300_799_000  # 9999-12-31T23:59:59Z: as far as calendars go


def by_calendar(window: Window, timezone: str) -> bool:
    """Whether a window goes by local days."""
    return window.daily and timezone != "UTC"


def to_axis(moment: pl.Expr, timezone: str) -> pl.Expr:
    """UTC ms to the beginning of its local day, on the axis of local days (ms)."""
    local = _moment(moment.clip(-LAST_MS, LAST_MS)).dt.convert_time_zone(timezone)
    return local.dt.date().cast(pl.Int64) * DAY_MS


def from_axis(day: pl.Expr, timezone: str) -> pl.Expr:
    """A beginning of a local day on the axis (ms) to UTC ms."""
    midnight = day.cast(pl.Datetime("ms"))
    first = midnight.map_batches(partial(_first_moments, timezone=timezone), return_dtype=pl.Datetime("ms", timezone))
    return first.dt.convert_time_zone("UTC").dt.epoch("ms")


def _first_moments(midnight: pl.Series, timezone: str) -> pl.Series:
    """Midnights of a zone; the first moment after one that the clock skips, which it may do by 30 minutes to a day."""
    found = midnight.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    later = midnight
    while found.null_count() > midnight.null_count() and (later - midnight).max() < _LONGEST_LEAP:  # type: ignore[operator]  # of durations
        later = later.dt.offset_by("15m")
        after = later.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        found = found.zip_with(found.is_not_null(), after)
    return found


def last_end(moment: pl.Expr, window: Window, timezone: str) -> pl.Expr:
    """End (UTC ms) of the last window that holds a moment (UTC ms)."""
    if not by_calendar(window, timezone):
        return moment // window.slide * window.slide + window.size
    return from_axis(to_axis(moment, timezone) // window.slide * window.slide + window.size, timezone)


def _moment(ms: pl.Expr) -> pl.Expr:
    return ms.cast(pl.Datetime("ms", "UTC"))
