"""A shop's fixed surroundings, and the columns in which its events are made."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import polars as pl

from ecompulse.kernels.event import EVENT_TYPES, FIELDS, Kind
from ecompulse.simulator.catalogue import Catalogue, catalogue
from ecompulse.simulator.draw import Draw
from ecompulse.simulator.rates import rates
from ecompulse.simulator.rhythm import Rhythm
from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shoppers import Shoppers, account_changes, shoppers

UNKNOWN_TYPE: Final = "wishlist_add"
"""An event type that the event's declaration does not have."""

TYPE_NAMES: Final = pl.Series([*EVENT_TYPES, UNKNOWN_TYPE])


class Act(IntEnum):
    """What happens, as a position in `TYPE_NAMES`."""

    PAGE = 0
    PRODUCT = 1
    SEARCH = 2
    ADD = 3
    REMOVE = 4
    CHECKOUT = 5
    PURCHASE = 6
    PAYMENT = 7
    REFUND = 8
    LOGIN = 9
    LOGOUT = 10
    SIGNUP = 11
    UNKNOWN = 12


_NUMBERS: Final = (Kind.MONEY, Kind.INTEGER, Kind.TIME)

ROW_SCHEMA: Final = pl.Schema(
    {
        **{field.name: pl.Int64() if field.kind in _NUMBERS else pl.String() for field in FIELDS},
        "extra": pl.String(),
        "app": pl.Boolean(),
        "bot": pl.Boolean(),
        "opens_visit": pl.Boolean(),
        "opens_order": pl.Boolean(),
    }
)
"""Columns of events in the making: those of the event, times in UTC ms and money in hundredths of the
currency's unit, and: `extra` (a member of JSON that the event does not know, or null), `app` (times sent as
epoch ms), `bot`, and whether a row is the first of its visit or its order."""


class Stream(IntEnum):
    """Purposes of randomness; the numbers are part of what a seed means."""

    CATALOGUE = 1
    RATES = 2
    SHOPPERS = 3
    CHANGES = 4
    VISITS = 5
    BOTS = 6
    FLAWS = 7
    EPISODES = 8
    CRAWLERS = 9


@dataclass(frozen=True)
class World:
    """What does not depend on any visit."""

    settings: Settings
    people: Shoppers
    goods: Catalogue
    rates: pl.DataFrame
    changes: pl.DataFrame
    rhythm: Rhythm
    steady: Rhythm


def world(settings: Settings) -> World:
    """The surroundings of a shop, from its settings alone."""
    people = shoppers(settings, Draw(settings.seed, Stream.SHOPPERS))
    span = (settings.start_ms, settings.end_ms)
    return World(
        settings=settings,
        people=people,
        goods=catalogue(settings, Draw(settings.seed, Stream.CATALOGUE)),
        rates=rates(settings, Draw(settings.seed, Stream.RATES)),
        changes=account_changes(settings, Draw(settings.seed, Stream.CHANGES), people),
        rhythm=Rhythm(*span, flat=settings.flat),
        steady=Rhythm(*span, flat=True),
    )


def to_schema(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with all columns of `ROW_SCHEMA`, in order; those it lacks are null, flags false."""
    flags = {name for name, kind in ROW_SCHEMA.items() if kind == pl.Boolean()}
    return frame.select(
        pl.col(name) if name in frame.columns
        else pl.lit(False if name in flags else None, dtype=kind).alias(name)
        for name, kind in ROW_SCHEMA.items()
    )  # fmt: skip


def gather(values: pl.Series, at: "pl.Series | object") -> pl.Series:
    """Values at positions; -1 gives null."""
    return pl.concat([values, pl.Series([None], dtype=values.dtype)]).gather(at)  # type: ignore[arg-type]  # NumPy positions are accepted
