"""Metrics in plain Python, one event at a time: slow and obviously right."""

import json
import math
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

STEP = Decimal("0.000001")


def windows_of(at, size, slide):
    """Starts of the windows that hold a time (ms)."""
    first = at // slide * slide
    return list(range(first, at - size, -slide))


def exact(fraction):
    """A fraction as decimal(38,6), rounded half to even."""
    with localcontext() as context:
        context.prec = 60
        whole = fraction * 1_000_000
        floor = whole.numerator // whole.denominator
        rest = whole - floor
        if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2):
            floor += 1
        return (Decimal(floor) * STEP).quantize(STEP, rounding=ROUND_HALF_EVEN)


class Metric:
    """One metric: `passes(event)`, `dims(event)`, `currency(event)`, `value(events, start, end)`."""

    def __init__(self, name, windows, value, *, passes=None, dims=None, currency=None, fill=2) -> None:
        self.name, self.windows, self.value, self.fill = name, windows, value, fill
        self.passes = passes or (lambda e: True)
        self.dims = dims or (lambda e: {})
        self.currency = currency or (lambda e: None)

    def rows(self, events):
        """(metric, window, start, end, dims, currency) -> value, of every window that must be shown."""
        found = {}
        for label, size, slide in self.windows:
            held = defaultdict(list)
            for event in filter(self.passes, events):
                dims = json.dumps(self.dims(event), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                for start in windows_of(event["at"], size, slide):
                    held[dims, self.currency(event) or None, start].append(event)
            for dims, currency, start in list(held):
                for n in range(1, self.fill + 1):
                    held.setdefault((dims, currency, start + n * slide), [])
            for (dims, currency, start), inside in held.items():
                found[self.name, label, start, start + size, dims, currency] = self.value(inside, start, start + size)
        return found


def line(event):
    """Value of a purchase line, None without a price."""
    if event["price"] is None:
        return None
    quantity = 1 if event["quantity"] is None else event["quantity"]
    return Fraction(quantity * event["price"] - (event["discount"] or 0))


def total(of):
    return lambda events, *_: sum((v for e in events if (v := of(e)) is not None), Fraction(0))


def distinct(of):
    return lambda events, *_: Fraction(len({of(e) for e in events} - {None}))


def mean(of):
    def value(events, *_: int):
        known = [v for e in events if (v := of(e)) is not None]
        return sum(known, Fraction(0)) / len(known) if known else None

    return value


def extreme(of, pick):
    def value(events, *_: int):
        known = [v for e in events if (v := of(e)) is not None]
        return pick(known) if known else None

    return value


def ratio(top, bottom):
    def value(events, *bounds: int):
        below = bottom(events, *bounds)
        return top(events, *bounds) / below if below else None

    return value


def rank(values, q):
    """The least value with at least a share q of the values at or below it."""
    return sorted(values)[max(math.ceil(q * len(values)), 1) - 1]
