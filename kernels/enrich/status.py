"""What a step says about a row: the values of the fields of `enrichment_status`."""

from typing import Final

import polars as pl

OK: Final = "ok"
OFF: Final = "off"  # the step is turned off, or has nothing to work with by configuration
NO_KEY: Final = "no_key"  # the row has no value to look up
NOT_FOUND: Final = "not_found"
FAILED: Final = "failed"  # the store did not answer: nulls
STALE: Final = "stale"  # an expired entry, or a rate older than allowed, was used
MALFORMED: Final = "malformed"
PRIVATE: Final = "private"
RESERVED: Final = "reserved"
NO_DATABASE: Final = "no_database"
DIRECT: Final = "direct"
INTERNAL: Final = "internal"
NO_AMOUNT: Final = "no_amount"
NO_CURRENCY: Final = "no_currency"
NO_RATE: Final = "no_rate"
OVERFLOW: Final = "overflow"  # a converted amount does not fit decimal(18,4): null

STEPS: Final = ("user", "product", "geo", "device", "campaign", "currency", "pii")
"""The order of the steps. Decoding and validation come before them, storage after."""

STATUS: Final = pl.Struct({step: pl.String() for step in STEPS})
"""Type of the column `enrichment_status`: the same whatever is turned on."""


def status_column(step: str) -> str:
    """Name of the column that holds a step's status until all are collected."""
    return f"_status_{step}"


def collect(events: pl.DataFrame) -> pl.DataFrame:
    """The batch with the steps' status columns replaced by the struct `enrichment_status`, at the end."""
    names = [status_column(step) for step in STEPS]
    struct = pl.struct(pl.col(name).cast(pl.String).alias(name.removeprefix("_status_")) for name in names)
    return events.with_columns(struct.alias("enrichment_status")).drop(names)
