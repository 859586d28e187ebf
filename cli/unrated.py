"""Amounts in other currencies than the base, and no rates: said once, at the start and by `--check`."""

import time
from collections.abc import Sequence
from typing import Final

import polars as pl

from ecompulse.cli.sources import first_rows
from ecompulse.epochs.protocols import EVENTS, Source
from ecompulse.intake import Intake
from ecompulse.io.kafka.address import SCHEME
from ecompulse.kernels.decode import decode
from ecompulse.kernels.enrich.currency import AMOUNTS, CurrencyStep
from ecompulse.kernels.enrich.enrichment import EnrichConfig

_NAMED: Final = 3  # currencies


def unrated_line(events: pl.DataFrame, enrich: EnrichConfig) -> str:
    """What to say of good rows (FRAME_SCHEMA) whose amounts cannot be converted; empty where they can."""
    step = enrich.step(CurrencyStep)
    if not _lacks_rates(step):
        return ""
    foreign = pl.col("currency").is_not_null() & (pl.col("currency") != step.base)
    other = events.filter(pl.any_horizontal(pl.col(AMOUNTS).is_not_null()) & foreign)
    if other.is_empty():
        return ""
    found = other["currency"].value_counts(sort=True)["currency"].to_list()
    named = ", ".join(found[:_NAMED]) + (" and others" if len(found) > _NAMED else "")
    return (
        f"{other.height} of the first {events.height} good rows have amounts in {named}, the base currency is "
        f"{step.base}, and there are no rates: price_base, amount_base and revenue_base are null for these; give rates "
        "and base under steps.currency of --enrich"
    )


def unrated_of(intake: Intake, sources: Sequence[Source]) -> str:
    """`unrated_line` of the first source of events that has something to say; topics, maybe far away, are not asked."""
    if not _lacks_rates(intake.enrich.step(CurrencyStep)):
        return ""
    for source in sources:
        if source.role != EVENTS or source.uri.startswith(SCHEME):
            continue
        rows = first_rows(source)
        if rows is None:
            continue
        decoded = decode(rows, time.time_ns() // 1_000_000, intake.mapping_of(source.role))
        if line := unrated_line(decoded.events, intake.enrich):
            return line
    return ""


def _lacks_rates(step: CurrencyStep) -> bool:
    return step.enabled and not step.rates
