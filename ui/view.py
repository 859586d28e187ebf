"""What a reader asks of the page of the shop: how long, until when, by what. All of it stands in the address."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from ecompulse.epochs.errors import UserError
from ecompulse.kernels.config import nearest

SPANS: Final = {"3h": timedelta(hours=3), "12h": timedelta(hours=12), "1d": timedelta(days=1)}
BY: Final = ("category", "country", "channel", "device")
"""Dimensions of revenue, each a metric `revenue_by_...` of the standard set."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)  # no event is from before

_MINUTE: Final = timedelta(minutes=1)
_FINE: Final = timedelta(hours=3)


@dataclass(frozen=True)
class View:
    """A part of time, and a dimension.

    Attributes:
        span: a key of SPANS.
        by: of BY.
        until: the end of the last window, UTC; None for the newest that there is.
    """

    span: str = "3h"
    by: str = BY[0]
    until: datetime | None = None

    @property
    def length(self) -> timedelta:
        """Of the span."""
        return SPANS[self.span]

    @property
    def window(self) -> str:
        """Which windows of a KPI are drawn: of a minute, and for more than three hours of ten, one after the other."""
        return "1m" if self.length <= _FINE else "10m/1m"

    @property
    def step(self) -> timedelta:
        """From one window to the next."""
        return _MINUTE if self.length <= _FINE else 10 * _MINUTE

    @property
    def query(self) -> str:
        """The same as the end of an address."""
        until = {"until": self.until.strftime("%Y-%m-%dT%H:%M")} if self.until else {}
        return urlencode({"span": self.span, "by": self.by, **until})


def parse_view(given: Mapping[str, str]) -> View:
    """The view that an address asks for; UserError names what it says wrong."""
    span, by, until = given.get("span") or "3h", given.get("by") or BY[0], given.get("until")
    for name, value, known in (("span", span, tuple(SPANS)), ("by", by, BY)):
        if value not in known:
            raise UserError(f"{name}={value}: no such {name}{nearest(value, known)}")
    try:
        moment = _utc(datetime.fromisoformat(until)) if until else None
    except (ValueError, OverflowError):
        raise UserError(f"until={until}: no time such as 2025-03-01T10:00") from None
    return View(span, by, moment)


def _utc(moment: datetime) -> datetime:
    """A time that other times can be counted back from; OverflowError or ValueError for one that is too far away."""
    if moment.year < _EPOCH.year:
        raise ValueError(f"{moment} is before all events")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
