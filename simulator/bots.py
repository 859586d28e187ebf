"""Crawlers: runs of page and product views, several a second, by declared and undeclared robots."""

from typing import Final

import numpy as np
import polars as pl

from ecompulse.simulator.agents import CRAWLER_WEIGHTS, CRAWLERS
from ecompulse.simulator.draw import Draw, Ints, cumulative
from ecompulse.simulator.pages import addressed
from ecompulse.simulator.places import COUNTRY_WEIGHTS, addresses
from ecompulse.simulator.world import TYPE_NAMES, Act, Stream, World, gather, to_schema

_CRAWLERS: Final = 30
_SHORTEST: Final = 20
_LONGEST: Final = 100
EVENTS_PER_RUN: Final = (_SHORTEST + _LONGEST) // 2
_ACTS: Final = cumulative([60, 40])
_PAUSE_MS: Final = 100
_PAUSE_SPREAD_MS: Final = 700


def crawlers(seed: int) -> pl.DataFrame:
    """The robots that know this shop: `anonymous_id user_agent ip`, the same for the whole simulation."""
    draw = Draw(seed, Stream.CRAWLERS)
    agents = pl.Series([text for _, text in CRAWLERS])
    country = draw.pick(_CRAWLERS, COUNTRY_WEIGHTS)
    return pl.DataFrame(
        {
            "anonymous_id": draw.tokens(_CRAWLERS, 16, "b"),
            "user_agent": agents.gather(draw.pick(_CRAWLERS, CRAWLER_WEIGHTS)),
            "ip": addresses(draw, country),
        }
    )


def crawl(world: World, draw: Draw, robots: pl.DataFrame, count: int, span: tuple[int, int]) -> pl.DataFrame:
    """Rows (`ROW_SCHEMA`) of `count` runs that begin in `span` (UTC ms)."""
    start = world.steady.times(draw, count, *span)
    length = _SHORTEST + draw.below(count, _LONGEST - _SHORTEST + 1)
    run = np.repeat(np.arange(count), length)
    robot = draw.below(count, robots.height)
    act = draw.pick(len(run), _ACTS)
    product = np.where(act == Act.PRODUCT, draw.below(len(run), world.goods.products.height), -1)
    table = world.goods.products
    rows = robots[robot[run]].with_columns(
        event_type=gather(TYPE_NAMES, act),
        event_time=pl.Series(_times(draw, start, length)),
        product_id=gather(table["product_id"], product),
        category=gather(table["category"], product),
        brand=gather(table["brand"], product),
        bot=pl.lit(True),
    )
    rows = addressed(draw, rows, act, np.zeros(len(run), bool), no_result=0)
    return to_schema(rows.drop("referrer"))


def _times(draw: Draw, start: Ints, length: Ints) -> Ints:
    """UTC ms of each row of the runs."""
    total = int(length.sum())
    passed = np.cumsum(_PAUSE_MS + draw.below(total, _PAUSE_SPREAD_MS))
    first = np.cumsum(length) - length
    times: Ints = np.repeat(start, length) + passed - np.repeat(passed[first], length) if total else passed
    return times
