"""Amounts in minor units whose number of decimals is the currency's."""

from typing import Final

import polars as pl

from ecompulse.kernels.event import MONEY
from ecompulse.kernels.mapping import BY_CURRENCY, Mapping

NONE: Final = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
)  # fmt: skip
THREE: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
"""Currencies of ISO 4217 whose minor unit is no hundredth."""


def in_units(events: pl.DataFrame, mapping: Mapping | None) -> pl.DataFrame:
    """Events whose amounts were read as hundredths, in the units of their currency, where the mapping asks for it."""
    fields = [name for name, digits in mapping.minor_digits.items() if digits == BY_CURRENCY] if mapping else []
    if not fields:
        return events
    currency = pl.col("currency")
    return events.with_columns(
        pl.when(currency.is_in(NONE)).then(pl.col(name) * 100)
        .when(currency.is_in(THREE)).then(pl.col(name) / 10)
        .otherwise(pl.col(name)).cast(MONEY).alias(name)
        for name in fields
    )  # fmt: skip
