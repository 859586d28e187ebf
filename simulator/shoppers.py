"""Who shops: people with habits, devices, addresses and cards, and how what is known of them changes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.simulator.agents import BROWSER_WEIGHTS, BROWSERS, FIRST_APP
from ecompulse.simulator.catalogue import CATEGORY_WEIGHTS
from ecompulse.simulator.draw import Draw, Ints, cumulative, zipf
from ecompulse.simulator.places import COUNTRIES, COUNTRY_WEIGHTS, CURRENCIES, CURRENCY_OF, addresses
from ecompulse.simulator.settings import DAY_MS, Settings

GUEST: Final = 0
MEMBER: Final = 1
JOINING: Final = 2
"""ResolvedLabels of a shopper: never signs in; has an account at the start; signs up during the simulation."""

_STANDING: Final = cumulative([30, 58, 12])
SEGMENTS: Final = ("new", "casual", "regular", "big_spender")
TIERS: Final = ("none", "bronze", "silver", "gold")
_SEGMENT_WEIGHTS: Final = cumulative([20, 45, 28, 7])
_TIER_WEIGHTS: Final = cumulative([50, 28, 15, 7])
_HOURS: Final = np.asarray([7, 9, 12, 14, 17, 19, 20, 21, 22], dtype=np.int64)
_ACCOUNT_AGE_MS: Final = 900 * DAY_MS
_CHANGES_PER_DAY: Final = 0.02


@dataclass(frozen=True)
class Shoppers:
    """Rows are shoppers; tables of two devices, addresses and cards each have rows 2n and 2n+1.

    Attributes:
        accounts: what a sign-up registers (`user_id segment country signup_time loyalty_tier email_hash`).
        activity: cumulative weights of being the next visitor (a few come often, most rarely).
        devices: `anonymous_id device_id user_agent app`; the second is often the same browser again.
        ip: addresses at home and elsewhere; card: card tokens.
    """

    standing: Ints
    country: Ints
    hour: Ints
    favourite: Ints
    activity: Ints
    accounts: pl.DataFrame
    devices: pl.DataFrame
    ip: pl.Series
    card: pl.Series

    @property
    def currency(self) -> Ints:
        """Position in `CURRENCIES` of each shopper's money."""
        return CURRENCY_OF[self.country]

    def users(self) -> pl.DataFrame:
        """The user table at the start: accounts of members."""
        return self.accounts.filter(pl.Series(self.standing == MEMBER))


def shoppers(settings: Settings, draw: Draw) -> Shoppers:
    """The people of a shop's world."""
    size = settings.shopper_count
    country = draw.pick(size, COUNTRY_WEIGHTS)
    twice = np.repeat(country, 2)
    agent = draw.pick(2 * size, BROWSER_WEIGHTS)
    devices = pl.DataFrame(
        {
            "anonymous_id": draw.tokens(2 * size, 16, "a"),
            "device_id": draw.tokens(2 * size, 16, "d"),
            "user_agent": pl.Series([text for _, text in BROWSERS]).gather(agent),
            "app": pl.Series(agent >= FIRST_APP),
        }
    )
    return Shoppers(
        standing=draw.pick(size, _STANDING),
        country=country,
        hour=_HOURS[draw.below(size, len(_HOURS))],
        favourite=draw.pick(size, CATEGORY_WEIGHTS),
        activity=np.cumsum(zipf(size, size // 10 + 2)),
        accounts=_accounts(settings, draw, country),
        devices=devices,
        ip=addresses(draw, twice),
        card=draw.tokens(2 * size, 16, "c"),
    )


def _accounts(settings: Settings, draw: Draw, country: Ints) -> pl.DataFrame:
    size = len(country)
    return pl.DataFrame(
        {
            "user_id": pl.Series(np.arange(size, dtype=np.int64)),
            "segment": pl.Series(SEGMENTS).gather(draw.pick(size, _SEGMENT_WEIGHTS)),
            "country": pl.Series([place.code for place in COUNTRIES]).gather(country),
            "signup_time": settings.start_ms - 1 - draw.between(size, 0, _ACCOUNT_AGE_MS),
            "loyalty_tier": pl.Series(TIERS).gather(draw.pick(size, _TIER_WEIGHTS)),
            "email_hash": draw.tokens(size, 64),
        }
    ).with_columns(user_id=pl.concat_str(pl.lit("u"), pl.col("user_id").cast(pl.String).str.zfill(8)))


def account_changes(settings: Settings, draw: Draw, people: Shoppers) -> pl.DataFrame:
    """New versions of members' accounts (tier, segment) over the simulated days, by `updated_at` (UTC ms)."""
    members = np.flatnonzero(people.standing == MEMBER)
    count = int(len(members) * settings.duration_ms * _CHANGES_PER_DAY) // DAY_MS if len(members) else 0
    who = members[draw.below(count, max(len(members), 1))]
    time = settings.start_ms + 1 + draw.between(count, 0, settings.duration_ms)
    changed = people.accounts[who].with_columns(
        segment=pl.Series(SEGMENTS).gather(draw.pick(count, _SEGMENT_WEIGHTS)),
        loyalty_tier=pl.Series(TIERS).gather(draw.pick(count, _TIER_WEIGHTS)),
        updated_at=pl.Series(time, dtype=pl.Int64),
    )
    return changed.sort("updated_at", "user_id").unique(["updated_at", "user_id"], keep="first", maintain_order=True)


def signups(people: Shoppers, who: Ints, time: Ints) -> pl.DataFrame:
    """First versions of the accounts of shoppers who signed up at `time` (UTC ms)."""
    moment = pl.Series(time, dtype=pl.Int64)
    return people.accounts[who].with_columns(signup_time=moment, updated_at=moment)


CURRENCY_CODES: Final = pl.Series([currency.code for currency in CURRENCIES])
