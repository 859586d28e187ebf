"""A visit as a Markov walk through the shop: all visits of a slice take their steps together."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ecompulse.simulator.catalogue import Catalogue
from ecompulse.simulator.draw import Draw, Ints, cumulative
from ecompulse.simulator.world import Act

MAX_STEPS: Final = 48
CART_SLOTS: Final = 6
_END: Final = 7
_START: Final = 7

# Columns: page, product, search, add, remove, checkout, purchase, end. Rows: from these; the last: arriving.
_MOVES: Final = tuple(
    cumulative(row)
    for row in (
        (28, 38, 16, 0, 0, 0, 0, 18),
        (16, 41, 9, 15, 0, 0, 0, 19),
        (12, 60, 15, 0, 0, 0, 0, 13),
        (12, 34, 4, 0, 8, 32, 0, 10),
        (16, 48, 7, 0, 0, 13, 0, 16),
        (9, 9, 2, 0, 2, 0, 62, 16),
        (14, 3, 0, 0, 0, 0, 0, 83),
        (56, 24, 20, 0, 0, 0, 0, 0),
    )
)
_QUANTITIES: Final = cumulative([82, 12, 4, 2])


@dataclass(frozen=True)
class Steps:
    """What was done, step by step; `product` is -1 and `quantity` 0 where there is none."""

    visit: Ints
    step: Ints
    act: Ints
    product: Ints
    quantity: Ints


@dataclass(frozen=True)
class Lines:
    """Lines of the orders placed: visit and step of the order, and what is bought."""

    visit: Ints
    step: Ints
    product: Ints
    quantity: Ints


class Carts:
    """The carts of all visits of a slice."""

    def __init__(self, visits: int) -> None:
        self.current: Ints = np.full(visits, -1, dtype=np.int64)
        self.size: Ints = np.zeros(visits, dtype=np.int64)
        self.product: Ints = np.zeros((visits, CART_SLOTS), dtype=np.int64)
        self.quantity: Ints = np.zeros((visits, CART_SLOTS), dtype=np.int64)

    def possible(self, visit: Ints, act: Ints) -> Ints:
        """`act` where the cart allows it; what an empty cart forbids becomes a look at a page."""
        empty, full = self.size[visit] == 0, self.size[visit] == CART_SLOTS
        act = np.where(empty & ((act == Act.REMOVE) | (act == Act.CHECKOUT)), Act.PAGE, act)
        return np.where(full & (act == Act.ADD), Act.CHECKOUT, act)

    def add(self, visit: Ints, quantity: Ints) -> None:
        """Put the product last looked at into the cart."""
        self.product[visit, self.size[visit]] = self.current[visit]
        self.quantity[visit, self.size[visit]] = quantity
        self.size[visit] += 1

    def remove(self, visit: Ints) -> None:
        """Take the last line out again."""
        self.size[visit] -= 1

    def last(self, visit: Ints) -> tuple[Ints, Ints]:
        """Product and quantity of the line that `remove` would take, or took just now."""
        return self.product[visit, self.size[visit]], self.quantity[visit, self.size[visit]]

    def order(self, visit: Ints, step: int) -> Lines:
        """Empty the carts into orders."""
        size = self.size[visit]
        buyers, slots = np.repeat(visit, size), _ranks(size)
        self.size[visit] = 0
        steps = np.full(len(buyers), step, dtype=np.int64)
        return Lines(buyers, steps, self.product[buyers, slots], self.quantity[buyers, slots])


def _ranks(sizes: Ints) -> Ints:
    """0 to n-1 for each n of `sizes`, one after the other."""
    ends = np.cumsum(sizes)
    ranks: Ints = np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.int64) - np.repeat(ends - sizes, sizes)
    return ranks


def walk(draw: Draw, goods: Catalogue, favourite: Ints) -> tuple[Steps, Lines]:
    """The steps of one visit per favourite category, and the order lines that come of them.

    The walk remembers what a chain does not: which product is looked at and what lies in the cart.
    """
    carts = Carts(len(favourite))
    visit = np.arange(len(favourite), dtype=np.int64)
    state = np.full(len(favourite), _START, dtype=np.int64)
    steps: list[Steps] = []
    lines: list[Lines] = [Lines(*(np.zeros(0, np.int64) for _ in range(4)))]
    for step in range(MAX_STEPS):
        state = _move(draw, state)
        visit, state = visit[state != _END], state[state != _END]
        if not len(visit):
            break
        state = carts.possible(visit, state)
        steps.append(_act(draw, goods, carts, favourite, Steps(visit, np.full_like(visit, step), state, visit, visit)))
        buyers = visit[state == Act.PURCHASE]
        if len(buyers):
            lines.append(carts.order(buyers, step))
    return _joined(steps), Lines(*(np.concatenate(part) for part in zip(*map(_parts, lines), strict=True)))


def _move(draw: Draw, state: Ints) -> Ints:
    moved = np.empty_like(state)
    for place, weights in enumerate(_MOVES):
        here = np.flatnonzero(state == place)
        moved[here] = draw.pick(len(here), weights)
    return moved


def _act(draw: Draw, goods: Catalogue, carts: Carts, favourite: Ints, step: Steps) -> Steps:
    """Carry one step out on the carts; returns it with its products and quantities."""
    visit, product, quantity = step.visit, np.full_like(step.visit, -1), np.zeros_like(step.visit)
    look, add, remove = (np.flatnonzero(step.act == act) for act in (Act.PRODUCT, Act.ADD, Act.REMOVE))
    product[look] = carts.current[visit[look]] = goods.choose(draw, favourite[visit[look]])
    product[add] = carts.current[visit[add]]
    quantity[add] = 1 + draw.pick(len(add), _QUANTITIES)
    carts.add(visit[add], quantity[add])
    carts.remove(visit[remove])
    product[remove], quantity[remove] = carts.last(visit[remove])
    return Steps(visit, step.step, step.act, product, quantity)


def _parts(lines: Lines) -> tuple[Ints, ...]:
    return lines.visit, lines.step, lines.product, lines.quantity


def _joined(steps: list[Steps]) -> Steps:
    if not steps:
        return Steps(*(np.zeros(0, np.int64) for _ in range(5)))
    names = ("visit", "step", "act", "product", "quantity")
    return Steps(*(np.concatenate([getattr(step, name) for step in steps]) for name in names))
