"""Exchange rates by date: EUR per unit of a currency, on weekdays only, as central banks publish them."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from ecompulse.simulator.draw import Draw
from ecompulse.simulator.places import CURRENCIES
from ecompulse.simulator.settings import Settings

_DAYS_BEFORE: Final = 7
_DAYS_AFTER: Final = 4
_SATURDAY: Final = 5
_SWING: Final = 4_000  # millionths of a day's largest move


def _dates(settings: Settings) -> list[date]:
    first = datetime.fromtimestamp(settings.start_ms / 1000, UTC).date() - timedelta(days=_DAYS_BEFORE)
    last = datetime.fromtimestamp(settings.end_ms / 1000, UTC).date() + timedelta(days=_DAYS_AFTER)
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if day.weekday() < _SATURDAY]


def rates(settings: Settings, draw: Draw) -> pl.DataFrame:
    """A walk of every currency over the simulated days and a week before: `date currency rate`.

    `rate` is decimal(18,6), EUR for one unit. A Saturday's events need Friday's row.
    """
    days = _dates(settings)
    columns: dict[str, list[object]] = {"date": [], "currency": [], "rate": []}
    for currency in CURRENCIES:
        moves = draw.between(len(days), -_SWING, _SWING + 1).tolist()
        rate = currency.rate_millionths
        for day, move in zip(days, moves, strict=True):
            rate += 0 if currency.code == "EUR" else rate * move // 1_000_000
            columns["date"].append(day)
            columns["currency"].append(currency.code)
            columns["rate"].append(rate)
    kind = pl.Decimal(18, 6)
    frame = pl.DataFrame(columns, schema={"date": pl.Date, "currency": pl.String, "rate": pl.Int64})
    return frame.with_columns(rate=(pl.col("rate").cast(kind) / 1_000_000).cast(kind)).sort("date", "currency")
