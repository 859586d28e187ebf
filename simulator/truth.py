"""What the simulator knows of its own events: the numbers that jobs are checked against."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl

from ecompulse.simulator.flaws import BREAKS, COPY, FIRST_BREAK, GOOD
from ecompulse.simulator.world import UNKNOWN_TYPE

Counts = Mapping[str, int]
Money = Mapping[str, Decimal]


@dataclass(frozen=True)
class Truth:
    """Counts over the rows written, and money by currency (exact). Truths of disjoint runs of rows add up.

    Attributes:
        rows: lines written: events + duplicates + broken.
        events: good events, copies not counted; what follows counts these only, if it does not say else.
        duplicates: exact copies.
        broken: lines that a decoder must refuse, by case.
        by_type: events by type; `unknown_types` of them have a type that nobody declared.
        unknown_fields: events with a field that the event does not have.
        out_of_order: good rows and copies with a time before the largest of the good rows ahead of them.
        late: those of them that are more than the watermark delay before it. A job that reads in epochs finds
            at most these late, because its watermark moves between epochs only.
        bot_events: made by crawlers. visits: begun by people. signups: new accounts.
        searches_without_result: searches with `results` 0.
        orders: distinct order_id of purchases. payments: by status.
        revenue: sum of quantity * price - discount over purchases. discounts: what was taken off.
        paid: amounts authorized or captured. refunded: amounts given back.
        first_event_time: and `last_event_time`: UTC ms of good events; None without any.
    """

    rows: int = 0
    events: int = 0
    duplicates: int = 0
    broken: Counts = field(default_factory=dict)
    by_type: Counts = field(default_factory=dict)
    unknown_types: int = 0
    unknown_fields: int = 0
    out_of_order: int = 0
    late: int = 0
    bot_events: int = 0
    visits: int = 0
    signups: int = 0
    searches_without_result: int = 0
    orders: int = 0
    payments: Counts = field(default_factory=dict)
    revenue: Money = field(default_factory=dict)
    discounts: Money = field(default_factory=dict)
    paid: Money = field(default_factory=dict)
    refunded: Money = field(default_factory=dict)
    first_event_time: int | None = None
    last_event_time: int | None = None

    def __add__(self, other: "Truth") -> "Truth":
        names = [entry.name for entry in dataclasses.fields(self)]
        return Truth(**{name: _added(name, getattr(self, name), getattr(other, name)) for name in names})

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file: money as text, keys sorted."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def _added(name: str, mine: Any, other: Any) -> Any:
    if mine is None or other is None:
        return other if mine is None else mine
    if name == "first_event_time":
        return min(mine, other)
    if name == "last_event_time":
        return max(mine, other)
    if isinstance(mine, Mapping):
        return {key: mine.get(key, 0) + other.get(key, 0) for key in sorted({*mine, *other})}
    return mine + other


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    return str(value) if isinstance(value, Decimal) else value


def tally(rows: pl.DataFrame, highest: int | None, watermark_delay_ms: int) -> tuple[Truth, int | None]:
    """The truth of `rows` (in order of arrival), and the largest event time of good rows (UTC ms) after them.

    `highest` is that largest time before them, None if they are the first.
    """
    sound = rows.filter(pl.col("flaw") < FIRST_BREAK)
    good = sound.filter(pl.col("flaw") == GOOD)
    behind, highest = _behind(sound["event_time"], highest)
    broken = rows["flaw"].filter(rows["flaw"] >= FIRST_BREAK).to_list()
    cases = [BREAKS[kind - FIRST_BREAK][0] for kind in broken]
    truth = Truth(
        rows=rows.height,
        events=good.height,
        duplicates=int((rows["flaw"] == COPY).sum()),
        broken={case: cases.count(case) for case in sorted(set(cases))},
        out_of_order=int((behind > 0).sum()),
        late=int((behind > watermark_delay_ms).sum()),
        **_counts(good),
        **_business(good),
    )
    return truth, highest


def _behind(times: pl.Series, highest: int | None) -> tuple[pl.Series, int | None]:
    """Ms by which each row's time is before the largest time ahead of it (0 or less: in order)."""
    if times.is_empty():
        return times, highest
    start = times[0] if highest is None else highest
    ahead = pl.concat([pl.Series([start], dtype=pl.Int64), times]).cum_max()
    return ahead[:-1] - times, int(ahead[-1])


def _counts(good: pl.DataFrame) -> dict[str, Any]:
    by_type = dict(good["event_type"].value_counts().sort("event_type").rows())
    times = good["event_time"]
    return {
        "by_type": by_type,
        "unknown_types": by_type.get(UNKNOWN_TYPE, 0),
        "unknown_fields": good.height - good["extra"].null_count(),
        "bot_events": int(good["bot"].sum()),
        "visits": int(good["opens_visit"].sum()),
        "signups": by_type.get("signup", 0),
        "searches_without_result": int((good["properties"] == '{"results":0}').sum()),
        "orders": int(good["opens_order"].sum()),
        "first_event_time": None if times.is_empty() else times.min(),
        "last_event_time": None if times.is_empty() else times.max(),
    }


def _business(good: pl.DataFrame) -> dict[str, Any]:
    lines = good.filter(pl.col("event_type") == "purchase")
    payments = good.filter(pl.col("event_type") == "payment")
    paid = payments.filter(pl.col("payment_status").is_in(["authorized", "captured"]))
    off = pl.col("discount").fill_null(0)
    return {
        "payments": dict(payments["payment_status"].value_counts().sort("payment_status").rows()),
        "revenue": _sums(lines, pl.col("price") * pl.col("quantity") - off),
        "discounts": _sums(lines, off),
        "paid": _sums(paid, pl.col("amount")),
        "refunded": _sums(good.filter(pl.col("event_type") == "refund"), pl.col("amount")),
    }


def _sums(rows: pl.DataFrame, hundredths: pl.Expr) -> dict[str, Decimal]:
    sums = rows.group_by("currency").agg(hundredths.sum().alias("sum")).sort("currency")
    return {currency: Decimal(total).scaleb(-2) for currency, total in sums.rows()}
