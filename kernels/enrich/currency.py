"""Amounts in the base currency, at dated rates, exactly."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Final

import polars as pl

from ecompulse.kernels.config import Duration
from ecompulse.kernels.enrich.status import NO_AMOUNT, NO_CURRENCY, NO_RATE, OFF, OK, OVERFLOW, STALE
from ecompulse.kernels.enrich.step import Need, Opened, Step, TableFile, all_null, status_column, untouched
from ecompulse.kernels.event import MONEY
from ecompulse.kernels.mapping import CURRENCY

AMOUNTS: Final = ("price", "discount", "amount", "tax", "shipping")
COLUMNS: Final = pl.Schema({f"{name}_base": MONEY for name in AMOUNTS})

RATE: Final = pl.Decimal(24, 10)
"""A rate: base units per one unit of the currency, 10 digits after the point."""

RATES: Final = pl.Schema({"date": pl.Date(), "currency": pl.String(), "rate": RATE})
"""A table of rates; one row per date and currency, in force from that day (UTC) until the next row."""

_UNIT: Final = 10**10  # of a rate
_LIMIT: Final = 10**18  # of decimal(18,4), in its smallest units
_MAX_RATE: Final = 10**20  # in its smallest units: keeps the product of two integers within 128 bits


RATES_FILE: Final = "rates"
NO_RATES: Final = pl.DataFrame(schema=RATES)


def _currency_code(value: object) -> str:
    if isinstance(value, str) and re.fullmatch("[A-Z]{3}", value):
        return value
    raise ValueError(f"{value!r} is not an ISO 4217 code such as EUR")


@dataclass(frozen=True)
class CurrencyStep(Step):
    """Amounts in the base currency.

    Attributes:
        base: ISO 4217 code of the base currency.
        rates: path of a table (.csv or .parquet) of `date, currency, rate`, rate = base units per one unit.
        max_age: ms; a rate older than this is still used, with status `stale`. Null: any age is good.
    """

    name: ClassVar[str] = "currency"
    base: Annotated[str, _currency_code] = "USD"
    rates: str | None = None
    max_age: Duration | None = None

    @property
    def reads(self) -> Collection[str]:
        """See Step."""
        return ("event_time", "currency", *AMOUNTS)

    def needs(self) -> Mapping[str, Need]:
        """The table of rates (schema RATES)."""
        wanted = self.enabled and self.rates
        return {RATES_FILE: TableFile(wanted, partial(check_rates, base=self.base))} if wanted else {}

    def columns(self, opened: Opened) -> pl.Schema:  # noqa: ARG002
        """Every amount in the base currency."""
        return COLUMNS

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """The rate is the last on or before the event's UTC date; the product is rounded half to even, once.

        Status: `ok`; `stale`: used, but older than `max_age`; `no_amount`: nothing to convert; `no_currency`;
        `no_rate`; `overflow`: a result does not fit and is null. An amount in the base currency is copied as it is.
        """
        if not self.enabled:
            return untouched(events, self, COLUMNS, OFF)
        if all_null(events, *AMOUNTS):
            return untouched(events, self, COLUMNS, NO_AMOUNT)
        # Most events have no amount: only the others pay for whole numbers of 128 bits.
        priced = events.select(pl.any_horizontal(pl.col(AMOUNTS).is_not_null())).to_series()
        based = self._based(events.select("currency", "event_time", *AMOUNTS).filter(priced), opened)
        place = pl.select(pl.when(priced).then(priced.cum_sum().cast(pl.Int64) - 1)).to_series()
        status = pl.col(status_column(self.name)).fill_null(NO_AMOUNT)
        return pl.concat([events, based[place].with_columns(status)], how="horizontal")

    def _based(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """The step's columns and status."""
        rated = _rates_of(events, opened.get(RATES_FILE, NO_RATES), self)
        products = {name: _product(name) for name in AMOUNTS}
        work = pl.concat([events.select(AMOUNTS), rated], how="horizontal").with_columns(
            product.alias(f"{name}_product") for name, product in products.items()
        )
        fits = {name: pl.col(f"{name}_product").is_between(1 - _LIMIT, _LIMIT - 1) for name in AMOUNTS}
        overflow = pl.any_horizontal(~fit.fill_null(value=True) for fit in fits.values())
        return work.select(
            *(_money(name, fits[name], self.base).alias(f"{name}_base") for name in AMOUNTS),
            _status(overflow, self).alias(status_column(self.name)),
        )


def check_rates(rates: pl.DataFrame, base: str) -> pl.DataFrame:
    """The table with the schema RATES, sorted, checked.

    Raises:
        ValueError: a column is missing, a value is null, not positive or out of range, a date is given twice.
    """
    missing = [name for name in RATES if name not in rates.columns]
    if missing:
        raise ValueError(f"has no column {missing[0]}; date, currency, rate are needed")
    code = pl.col("currency").cast(pl.String).str.strip_chars()  # and in capitals, like that of an event
    try:
        table = rates.select(
            pl.col("date").cast(pl.String).str.replace("[T ].*$", "").str.to_date("%Y-%m-%d"),
            pl.when(code.str.contains(f"^{CURRENCY}$")).then(code.str.to_uppercase()).otherwise(code),
            pl.col("rate").cast(pl.String).str.strip_chars().cast(RATE),
        )
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"has a date that is not YYYY-MM-DD or a rate that is no number: {str(error).splitlines()[0]}"
        ) from None
    bad = table.filter(
        pl.any_horizontal(pl.all().is_null()) | (pl.col("rate") <= 0) | (pl.col("rate") > _MAX_RATE // _UNIT)
    )
    if bad.height:
        raise ValueError(f"has a null, or a rate outside 0 to 10^10: {bad.row(0)}")
    if table.filter(pl.col("currency") == base, pl.col("rate") != 1).height:  # 1 says nothing new, and is common
        raise ValueError(f"gives rates of {base}, which is the base currency itself; turn them round or change base")
    twice = table.filter(pl.struct("date", "currency").is_duplicated())
    if twice.height:
        raise ValueError(f"gives {twice['currency'][0]} on {twice['date'][0]} twice")
    return table.sort("date", "currency")


def _rates_of(events: pl.DataFrame, rates: pl.DataFrame, step: CurrencyStep) -> pl.DataFrame:
    """Per row: currency, units of the rate (Int128; null if none), age of the rate (ms)."""
    asked = events.select("currency", pl.col("event_time").dt.date().alias("date"))
    unique = asked.drop_nulls().unique().sort("date")
    if unique.is_empty():
        return asked.select("currency", units=pl.lit(None, pl.Int128), age=pl.lit(None, pl.Int64))
    in_force = rates.select(
        "currency", "date", pl.col("date").alias("since"), pl.col("rate").to_physical().alias("units")
    )
    with_rate = unique.join_asof(in_force.sort("date"), on="date", by="currency", check_sortedness=False)
    with_rate = with_rate.with_columns(
        ((pl.col("date") - pl.col("since")).dt.total_milliseconds()).alias("age"),
        pl.when(pl.col("currency") == step.base)
        .then(pl.lit(_UNIT, pl.Int128))
        .otherwise(pl.col("units"))
        .alias("units"),
    )
    joined = asked.join(with_rate, on=["currency", "date"], how="left", maintain_order="left")
    return joined.select("currency", "units", "age")


def _product(name: str) -> pl.Expr:
    """Smallest units of the result: amount times rate, divided by the rate's unit, half to even.

    Integers of 128 bits hold 10^18 times 10^20 exactly; decimals would round the product before it is rounded.
    """
    exact = pl.col(name).to_physical().cast(pl.Int128) * pl.col("units")
    floor, rest = exact // _UNIT, exact % _UNIT
    up = (rest * 2 > _UNIT) | ((rest * 2 == _UNIT) & (floor % 2 != 0))
    return floor + up.cast(pl.Int128)


def _money(name: str, fits: pl.Expr, base: str) -> pl.Expr:
    units = pl.when(fits).then(pl.col(f"{name}_product")).cast(pl.Decimal(38, 4))
    converted = (units * pl.lit("0.0001").cast(pl.Decimal(38, 4))).cast(MONEY)
    return pl.when(pl.col("currency") == base).then(pl.col(name)).otherwise(converted)


def _status(overflow: pl.Expr, step: CurrencyStep) -> pl.Expr:
    stale = pl.lit(value=False) if step.max_age is None else (pl.col("age") > step.max_age).fill_null(value=False)
    return (
        pl.when(pl.all_horizontal(pl.col(AMOUNTS).is_null()))
        .then(pl.lit(NO_AMOUNT))
        .when(pl.col("currency").is_null())
        .then(pl.lit(NO_CURRENCY))
        .when(pl.col("units").is_null())
        .then(pl.lit(NO_RATE))
        .when((pl.col("currency") != step.base) & overflow)
        .then(pl.lit(OVERFLOW))
        .when((pl.col("currency") != step.base) & stale)
        .then(pl.lit(STALE))
        .otherwise(pl.lit(OK))
    )
