"""Countries, their money and their addresses.

The address blocks are large allocations of consumer access providers (named beside them) that country
databases place in that country; hosts are drawn inside them and belong to nobody known to us.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.simulator.draw import Draw, Ints, cumulative


@dataclass(frozen=True)
class Currency:
    """A currency: EUR per unit (millionths) at the start, its price list against EUR, smallest price step.

    `list_factor` is in thousandths: a shop rounds its own price list and does not follow the day's rate.
    `step` is in hundredths of the unit.
    """

    code: str
    rate_millionths: int
    list_factor: int
    step: int = 1


CURRENCIES: Final = (
    Currency("EUR", 1_000_000, 1000),
    Currency("GBP", 1_155_000, 870),
    Currency("USD", 855_000, 1150),
    Currency("CHF", 1_068_000, 960),
    Currency("SEK", 90_500, 11_300, 100),
    Currency("PLN", 234_500, 4300),
    Currency("CZK", 40_900, 24_900, 100),
    Currency("JPY", 5_810, 169_000, 100),
    Currency("CAD", 622_000, 1590),
)


@dataclass(frozen=True)
class Country:
    """A country: weight among shoppers, currency, sales tax (hundredths of a per cent), address blocks."""

    code: str
    weight: int
    currency: str
    tax: int
    v4: str
    v6: str


COUNTRIES: Final = (
    Country("DE", 24, "EUR", 1900, "79.192.0.0/10", "2003:c0::/28"),  # Deutsche Telekom
    Country("GB", 14, "GBP", 2000, "81.128.0.0/12", "2a00:23c4::/30"),  # BT
    Country("FR", 14, "EUR", 2000, "90.0.0.0/10", "2a01:cb00::/28"),  # Orange
    Country("US", 12, "USD", 700, "73.0.0.0/9", "2601::/24"),  # Comcast
    Country("NL", 6, "EUR", 2100, "77.160.0.0/13", "2a02:a440::/28"),  # KPN
    Country("ES", 6, "EUR", 2100, "83.32.0.0/12", "2a0c:5a80::/30"),  # Telefonica, Digi
    Country("IT", 6, "EUR", 2200, "79.0.0.0/12", "2a01:2000::/22"),  # TIM
    Country("PL", 5, "PLN", 2300, "83.0.0.0/12", "2a01:1100::/24"),  # Orange Polska
    Country("AT", 3, "EUR", 2000, "80.108.0.0/15", "2a02:8380::/28"),  # Magenta
    Country("CH", 3, "CHF", 810, "85.0.0.0/14", "2a02:1200::/28"),  # Swisscom
    Country("SE", 3, "SEK", 2500, "81.224.0.0/13", "2001:2040::/30"),  # Telia
    Country("CZ", 2, "CZK", 2100, "89.176.0.0/15", "2a00:1028::/32"),  # Vodafone, O2
    Country("JP", 1, "JPY", 1000, "126.64.0.0/11", "2400:2410::/28"),  # SoftBank
    Country("CA", 1, "CAD", 500, "70.24.0.0/15", "2605:8d80::/32"),  # Bell, Rogers
)

COUNTRY_WEIGHTS: Final = cumulative([country.weight for country in COUNTRIES])
_CODES: Final = [currency.code for currency in CURRENCIES]
CURRENCY_OF: Final[Ints] = np.asarray([_CODES.index(c.currency) for c in COUNTRIES], dtype=np.int64)
TAX_OF: Final[Ints] = np.asarray([country.tax for country in COUNTRIES], dtype=np.int64)
LIST_FACTOR: Final[Ints] = np.asarray([currency.list_factor for currency in CURRENCIES], dtype=np.int64)
PRICE_STEP: Final[Ints] = np.asarray([currency.step for currency in CURRENCIES], dtype=np.int64)

_PRIVATE_RATE: Final = 0.01
_V6_RATE: Final = 0.25
_LAST_HOST: Final = 254


def local_price(cents: Ints, currency: Ints) -> Ints:
    """Price in hundredths of a currency's unit, of EUR cents, by position in `CURRENCIES`; never 0."""
    step = PRICE_STEP[currency]
    price: Ints = np.maximum(cents * LIST_FACTOR[currency] // 1000 // step, 1) * step
    return price


def addresses(draw: Draw, country: Ints) -> pl.Series:
    """One IP address for each position in `COUNTRIES`: mostly IPv4, a quarter IPv6, a few private ones."""
    size = len(country)
    v4 = [ipaddress.ip_network(place.v4) for place in COUNTRIES]
    base = np.asarray([int(network.network_address) for network in v4], dtype=np.int64)[country]
    room = np.asarray([network.num_addresses >> 8 for network in v4], dtype=np.int64)[country]
    private = draw.chance(size, _PRIVATE_RATE)
    base = np.where(private, 10 << 24, base) + (draw.below(size, room) << 8) + 1 + draw.below(size, _LAST_HOST)
    v6 = [ipaddress.ip_network(place.v6) for place in COUNTRIES]
    head = np.asarray([int(network.network_address) >> 96 for network in v6], dtype=np.int64)[country]
    free = np.asarray([1 << (32 - network.prefixlen) for network in v6], dtype=np.int64)[country]
    head = head + draw.below(size, free)
    frame = pl.DataFrame({"v4": base, "head": head, "site": 1 + draw.below(size, 65_535)}).with_columns(
        host=draw.tokens(size, 16), six=pl.Series(draw.chance(size, _V6_RATE) & ~private)
    )
    return frame.select(ip=pl.when("six").then(_v6_text()).otherwise(_v4_text())).to_series()


def _v4_text() -> pl.Expr:
    parts = [((pl.col("v4") // 256**power) % 256).cast(pl.String) for power in (3, 2, 1, 0)]
    return pl.concat_str(parts, separator=".")


def _v6_text() -> pl.Expr:
    """Network, a site and a host of 48 random bits, in full groups (a parser accepts leading zeros)."""
    groups = [
        _hex(pl.col("head") // 65_536),
        _hex(pl.col("head") % 65_536),
        _hex(pl.col("site")),
        pl.lit("0"),
    ]
    groups += [pl.col("host").str.slice(at, 4) for at in (0, 4, 8, 12)]
    return pl.concat_str(groups, separator=":")


def _hex(value: pl.Expr) -> pl.Expr:
    digits = pl.lit(pl.Series(["0123456789abcdef"[n] for n in range(16)])).implode()
    return pl.concat_str([digits.list.get((value // 16**power) % 16) for power in (3, 2, 1, 0)])
