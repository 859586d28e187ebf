"""Visits of people: who comes, who they say they are, and what they do when."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.simulator.draw import Bools, Draw, Ints, cumulative, log_normal
from ecompulse.simulator.pages import addressed
from ecompulse.simulator.places import local_price
from ecompulse.simulator.settings import HOUR_MS
from ecompulse.simulator.shoppers import CURRENCY_CODES, JOINING, MEMBER, signups
from ecompulse.simulator.walk import MAX_STEPS, Lines, Steps, walk
from ecompulse.simulator.world import TYPE_NAMES, Act, World, gather

_NEVER: Final = MAX_STEPS * 8
_KEYS_PER_STEP: Final = 4
_REMEMBERED: Final = 0.55
_SIGNS_IN: Final = 0.5
_SIGNS_OUT: Final = 0.08
_LATEST_SIGN_IN: Final = 5
_SWAP_FROM: Final = 4
_FIRST_DEVICE: Final = cumulative([4, 1])
_FIRST_ADDRESS: Final = cumulative([3, 1])
_THINKING: Final = log_normal(12_000, 1.1, 15 * 60_000)  # ms between two steps; below any session gap


@dataclass(frozen=True)
class Visits:
    """Rows are visits. Identity changes at keys (step * 4 and a little): see `user_at`.

    `user` is the one remembered at the start, `enters` who signs in at `enter_key`, `second` who takes over
    at `swap_key`; -1 for nobody.
    """

    shopper: Ints
    start: Ints
    device: Ints
    address: Ints
    user: Ints
    enters: Ints
    enter_key: Ints
    second: Ints
    swap_key: Ints
    leave_key: Ints
    joins: Bools

    def user_at(self, visit: Ints, key: Ints) -> Ints:
        """The shopper signed in at each key of each visit, or -1; signing out still carries who leaves."""
        user = np.where(key >= self.enter_key[visit], self.enters[visit], self.user[visit])
        found: Ints = np.where(key > self.swap_key[visit], self.second[visit], user)
        return found


@dataclass(frozen=True)
class Browsing:
    """What a slice's visits give: rows in the making, their orders, and new accounts.

    `order_rows` are the rows (of `rows`) that stand for an order; `lines.visit` and `lines.step` name them.
    """

    rows: pl.DataFrame
    act: Ints
    visit: Ints
    step: Ints
    lines: Lines
    visits: Visits
    accounts: pl.DataFrame


def browse(world: World, draw: Draw, count: int, span: tuple[int, int], joined: Bools) -> Browsing:
    """`count` visits that begin in `span` (UTC ms). `joined` remembers who has signed up, and is updated."""
    people = world.people
    start = world.rhythm.times(draw, count, *span)
    shopper = _visitors(world, draw, start)
    steps, lines = walk(draw, world.goods, people.favourite[shopper])
    length = np.bincount(steps.visit, minlength=count)
    visits = _identified(world, draw, shopper, start, length=length, joined=joined)
    visit, key, act, product, quantity = _in_order(visits, steps)
    time = _times(draw, start, visit)
    act = np.where((act == Act.PAGE) & draw.chance(len(act), world.settings.unknown_types), Act.UNKNOWN, act)
    first = np.concatenate([np.ones(min(len(visit), 1), bool), visit[1:] != visit[:-1]])
    session = draw.tokens(count, 16, "s")
    user = visits.user_at(visit, key)
    rows = who(world, visits, visit, user, session).with_columns(
        event_type=gather(TYPE_NAMES, act), event_time=pl.Series(time), opens_visit=pl.Series(first)
    )
    rows = rows.with_columns(_goods(world, shopper[visit], product, quantity, time))
    rows = addressed(draw, rows, act, first, world.settings.no_result)
    accounts = signups(people, user[act == Act.SIGNUP], time[act == Act.SIGNUP])
    return Browsing(rows, act, visit, key // _KEYS_PER_STEP, lines, visits, accounts)


def _visitors(world: World, draw: Draw, start: Ints) -> Ints:
    """Who comes at each moment: of two drawn by activity, the one whose hour is nearer."""
    hour = start // HOUR_MS % 24
    pair = [draw.pick(len(start), world.people.activity) for _ in range(2)]
    apart = [np.abs(world.people.hour[one] - hour) for one in pair]
    near = [np.minimum(distance, 24 - distance) for distance in apart]
    chosen: Ints = np.where(near[1] < near[0], pair[1], pair[0])
    return chosen


def _identified(world: World, draw: Draw, shopper: Ints, start: Ints, *, length: Ints, joined: Bools) -> Visits:
    """Decide who is signed in when: remembered, signing in or up, handing over, signing out.

    `length` is the number of steps of each visit.
    """
    size = len(shopper)
    remembered, enters, joins = _entering(world, draw, shopper, length > 1, joined)
    step = np.minimum(1 + draw.below(size, _LATEST_SIGN_IN), np.maximum(length - 1, 1))
    partner = np.minimum(shopper ^ 1, world.settings.shopper_count - 1)
    handover = np.maximum(length - 2, step + 1)
    swaps = (remembered | enters) & (partner != shopper) & (world.people.standing[partner] == MEMBER)
    swaps &= (length >= _SWAP_FROM) & (handover < length) & draw.chance(size, world.settings.shared_device)
    leaves = (remembered | enters) & draw.chance(size, _SIGNS_OUT)
    return Visits(
        shopper, start, draw.pick(size, _FIRST_DEVICE), draw.pick(size, _FIRST_ADDRESS), joins=joins,
        user=np.where(remembered, shopper, -1), enters=np.where(enters, shopper, -1),
        enter_key=np.where(enters, step * _KEYS_PER_STEP - 1, _NEVER), second=np.where(swaps, partner, -1),
        swap_key=np.where(swaps, handover * _KEYS_PER_STEP - 2, _NEVER),
        leave_key=np.where(leaves, length * _KEYS_PER_STEP, _NEVER),
    )  # fmt: skip


def _entering(world: World, draw: Draw, shopper: Ints, long: Bools, joined: Bools) -> tuple[Bools, Bools, Bools]:
    """Whether each visitor is remembered, signs in (or up), and signs up; `joined` is updated."""
    size, standing = len(shopper), world.people.standing[shopper]
    member = (standing == MEMBER) | joined[shopper]
    may_join = (standing == JOINING) & ~joined[shopper] & long & draw.chance(size, _SIGNS_IN)
    joins = _first_of(shopper, may_join)
    joined[shopper[joins]] = True
    remembered = member & draw.chance(size, _REMEMBERED)
    enters = joins | (member & ~remembered & long & draw.chance(size, _SIGNS_IN))
    return remembered, enters, joins


def _first_of(shopper: Ints, wanted: Bools) -> Bools:
    """`wanted`, but only the first wanted row of each shopper."""
    at = np.flatnonzero(wanted)
    _, first = np.unique(shopper[at], return_index=True)
    kept = np.zeros_like(wanted)
    kept[at[first]] = True
    return kept


def _in_order(visits: Visits, steps: Steps) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Steps and identity changes by visit and key: visit, key, act, product, quantity."""
    changes = [
        (visits.enter_key, np.where(visits.joins, Act.SIGNUP, Act.LOGIN)),
        (visits.swap_key, np.full_like(visits.swap_key, Act.LOGOUT)),
        (np.where(visits.second >= 0, visits.swap_key + 1, _NEVER), np.full_like(visits.swap_key, Act.LOGIN)),
        (visits.leave_key, np.full_like(visits.leave_key, Act.LOGOUT)),
    ]
    visit, key, act = [steps.visit], [steps.step * _KEYS_PER_STEP], [steps.act]
    for keys, acts in changes:
        at = np.flatnonzero(keys < _NEVER)
        visit.append(at)
        key.append(keys[at])
        act.append(acts[at])
    added = np.zeros(sum(map(len, visit)) - len(steps.visit), dtype=np.int64)
    products, quantities = np.concatenate([steps.product, added - 1]), np.concatenate([steps.quantity, added])
    columns = (*(np.concatenate(part) for part in (visit, key, act)), products, quantities)
    order = np.argsort(columns[0] * (2 * _NEVER) + columns[1], kind="stable")
    everything, keys, acts, product, quantity = (column[order] for column in columns)
    return everything, keys, acts, product, quantity


def _times(draw: Draw, start: Ints, visit: Ints) -> Ints:
    """UTC ms of each row: the visit's start, then a time of thinking before every further row."""
    pause = 1 + draw.quantile(len(visit), _THINKING)
    passed = np.cumsum(pause)
    first = np.searchsorted(visit, np.arange(len(start)), side="left")
    first = np.minimum(first, max(len(visit) - 1, 0))
    times: Ints = start[visit] + passed - passed[first][visit] if len(visit) else start[:0]
    return times


def who(world: World, visits: Visits, visit: Ints, user: Ints, session: pl.Series) -> pl.DataFrame:
    """The columns that say who and from where, for rows of visits."""
    people, shopper = world.people, visits.shopper[visit]
    return people.devices[2 * shopper + visits.device[visit]].with_columns(
        user_id=gather(people.accounts["user_id"], user),
        session_id=session.gather(visit),
        ip=people.ip.gather(2 * shopper + visits.address[visit]),
    )


def _goods(world: World, shopper: Ints, product: Ints, quantity: Ints, time: Ints) -> list[pl.Series]:
    """The columns that say which product, at what price in the shopper's money."""
    at = np.flatnonzero(product >= 0)
    currency = world.people.currency[shopper]
    price = np.full_like(product, -1)
    eur = world.goods.price(product[at], time[at] - world.settings.start_ms)
    price[at] = local_price(eur, currency[at])
    table = world.goods.products
    return [
        gather(table["product_id"], product).alias("product_id"),
        gather(table["category"], product).alias("category"),
        gather(table["brand"], product).alias("brand"),
        or_null("price", price, product >= 0),
        or_null("quantity", quantity, quantity > 0),
        gather(CURRENCY_CODES, np.where(product >= 0, currency, -1)).alias("currency"),
    ]


def or_null(name: str, values: Ints, kept: Bools) -> pl.Series:
    """A column with nulls where `kept` is false."""
    return pl.select(pl.when(pl.Series(kept)).then(pl.Series(values)).alias(name)).to_series()
