"""The shop: settings in, events out, slice by slice."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.event import EVENT_SCHEMA, FIELDS, Kind
from ecompulse.simulator.bots import EVENTS_PER_RUN, crawl, crawlers
from ecompulse.simulator.draw import Bools, Draw
from ecompulse.simulator.encode import encoded
from ecompulse.simulator.episode import NO_LABELS, Slice
from ecompulse.simulator.flaws import GOOD, broken_lines, flawed
from ecompulse.simulator.orders import orders
from ecompulse.simulator.settings import Settings
from ecompulse.simulator.truth import Truth, tally
from ecompulse.simulator.visits import browse
from ecompulse.simulator.world import ROW_SCHEMA, Act, Stream, World, to_schema, world

EVENTS_PER_VISIT: Final = 5.87
"""Mean events of a visit with its orders, measured; a test holds it to a few per cent."""


@dataclass(frozen=True)
class Chunk:
    """The rows that arrive in one slice of time.

    Attributes:
        since: the slice, UTC ms; the last one also holds all that arrives after it.
        until: its end, exclusive.
        rows: `ROW_SCHEMA`, `arrival` (UTC ms) and `flaw`, in order of arrival.
        lines: the rows as bytes, each with its end of line.
        truth: of these rows.
        labels: of episodes that begin in the slice (`LABEL_SCHEMA`).
        accounts: of those who sign up in visits that begin in the slice; with `updated_at` (UTC ms).
    """

    since: int
    until: int
    rows: pl.DataFrame
    lines: pl.Series
    truth: Truth
    labels: pl.DataFrame
    accounts: pl.DataFrame

    def events(self) -> pl.DataFrame:
        """The good events (no copies) in the types of `kernels.event.EVENT_SCHEMA`, in order of arrival."""
        good = self.rows.filter(pl.col("flaw") == GOOD).select(*EVENT_SCHEMA)
        money = [field.name for field in FIELDS if field.kind is Kind.MONEY]
        cents = [(pl.col(name).cast(EVENT_SCHEMA[name]) / 100).cast(EVENT_SCHEMA[name]) for name in money]
        return good.with_columns(*cents).cast(EVENT_SCHEMA)


@dataclass(frozen=True)
class Shop:
    """A simulated shop: tables at once, events by `chunks()`."""

    settings: Settings

    @cached_property
    def world(self) -> World:
        """People, goods and rates."""
        return world(self.settings)

    @property
    def users(self) -> pl.DataFrame:
        """Accounts at the start: `user_id segment country signup_time (UTC ms) loyalty_tier email_hash`."""
        return self.world.people.users()

    @property
    def products(self) -> pl.DataFrame:
        """Products at the start: `product_id title category brand price cost margin currency`."""
        return self.world.goods.products

    @property
    def product_updates(self) -> pl.DataFrame:
        """Versions of products since the start, with `updated_at` (UTC ms), by time."""
        return self.world.goods.updates

    @property
    def user_changes(self) -> pl.DataFrame:
        """Later versions of accounts, with `updated_at` (UTC ms), by time; sign-ups are in chunks."""
        return self.world.changes

    @property
    def rates(self) -> pl.DataFrame:
        """`date currency rate`: EUR per unit, weekdays."""
        return self.world.rates

    def chunks(self) -> Iterator[Chunk]:
        """All events in order of arrival, one slice at a time; the same in every iteration.

        Memory follows a slice and what is still on its way from earlier ones, not the duration.
        """
        joined: Bools = np.zeros(self.settings.shopper_count, dtype=bool)
        on_the_way: pl.DataFrame | None = None
        highest: int | None = None
        slices = self.settings.slices()
        for number, (since, until) in enumerate(slices):
            rows, labels, accounts = self._made(number, (since, until), joined)
            rows = rows if on_the_way is None else pl.concat([on_the_way, rows])
            due = rows["arrival"] < until if number + 1 < len(slices) else rows["arrival"].is_not_null()
            on_the_way, arrived = rows.filter(~due), rows.filter(due).sort("arrival", maintain_order=True)
            truth, highest = tally(arrived, highest, self.settings.watermark_delay_ms)
            lines = broken_lines(encoded(arrived), arrived["flaw"])
            yield Chunk(since, until, arrived, lines, truth, labels, accounts)

    def _made(self, number: int, span: tuple[int, int], joined: Bools) -> tuple[pl.DataFrame, ...]:
        """Rows of what begins in a slice, with arrivals and flaws; labels; new accounts."""
        settings, here = self.settings, self.world
        draw = Draw(settings.seed, Stream.VISITS, number)
        people = int(settings.events * (1 - settings.bots) / EVENTS_PER_VISIT)
        browsing = browse(here, draw, here.rhythm.count(people, *span), span, joined)
        other = pl.Series(browsing.act != Act.PURCHASE)
        runs = here.steady.count(int(settings.events * settings.bots / EVENTS_PER_RUN), *span)
        crawled = crawl(here, Draw(settings.seed, Stream.BOTS, number), self._crawlers, runs, span)
        rows = pl.concat([to_schema(browsing.rows.filter(other)), orders(here, draw, browsing), crawled])
        rows = rows.with_columns(event_id=draw.tokens(rows.height))
        rows, labels = self._befallen(number, span, rows)
        return flawed(settings, Draw(settings.seed, Stream.FLAWS, number), rows), labels, browsing.accounts

    @cached_property
    def _crawlers(self) -> pl.DataFrame:
        return crawlers(self.settings.seed)

    def _befallen(self, number: int, span: tuple[int, int], rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        labels = [NO_LABELS]
        opened = self.settings.start_ms + self.settings.warm_up_ms
        for place, episode in enumerate(self.settings.episodes):
            draw = Draw(self.settings.seed, Stream.EPISODES, place, number)
            rows, added = episode.apply(rows, Slice(opened, *span, draw))
            labels.append(added)
        return rows.select(*ROW_SCHEMA), pl.concat(labels)


def simulate(settings: Settings) -> Shop:
    """A shop with these settings: a pure function of them, the same bytes on any machine."""
    return Shop(settings)
