"""Amounts in minor units whose number of decimals is the currency's."""

from typing import Final

import polars as pl

from ecompulse.kernels.event import MONEY
from ecompulse.kernels.mapping import BY_CURRENCY, Mapping

USUAL: Final = 2
"""Decimals of most currencies: `Reading` takes amounts for hundredths, wherever the currency decides."""
_NONE: Final = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
)  # fmt: skip
_THREE: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_FOUR: Final = ("CLF", "UYW")
DIGITS: Final = {**dict.fromkeys(_NONE, 0), **dict.fromkeys(_THREE, 3), **dict.fromkeys(_FOUR, 4)}
"""Decimals of the currencies of ISO 4217 whose minor unit is no hundredth."""


def by_currency(mapping: Mapping) -> list[str]:
    """Money fields whose minor unit is that of the row's currency."""
    return [name for name, digits in mapping.minor_digits.items() if digits == BY_CURRENCY]


def digits_of(currency: str | None, mapping: Mapping) -> int:
    """Decimals of a currency's minor unit, as the mapping or else ISO 4217 has it."""
    return mapping.currency_digits.get(currency or "", DIGITS.get(currency or "", USUAL))


def in_units(name: str, mapping: Mapping) -> pl.Expr:
    """A column of hundredths in the units of the column `currency`; null where money cannot hold that."""
    hundredths = amount = pl.col(name).cast(pl.Decimal(38, 4))
    for digits in sorted({*DIGITS.values(), *mapping.currency_digits.values()} - {USUAL}):
        codes = [code for code in {**DIGITS, **mapping.currency_digits} if digits_of(code, mapping) == digits]
        scaled = hundredths * 10 ** (USUAL - digits) if digits < USUAL else hundredths / 10 ** (digits - USUAL)
        amount = pl.when(pl.col("currency").is_in(codes)).then(scaled).otherwise(amount)
    return amount.cast(MONEY, strict=False)
