"""Which transactions are looked at: a number of alerts per local day, not a bare threshold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

PASS, FLAG, RULE, DENY, ALLOW = "pass", "flag", "rule", "deny", "allow"
SUPPRESSED, OVER = "suppressed", "over_budget"
FLAGGED: Final = (FLAG, RULE, DENY)
"""Decisions that make an alert."""

_DAYS: Final = 7
_FIRST: Final = 0.5  # threshold before there is a whole day


@dataclass(frozen=True)
class Day:
    """A local day so far.

    Attributes:
        threshold: in force all day.
        alerts: given so far.
        best: its largest scores, falling; as many as the budget.
        cards: that had their alert.
    """

    threshold: float
    alerts: int
    best: tuple[float, ...]
    cards: frozenset[str]


@dataclass(frozen=True)
class Budget:
    """Days that are remembered, by number since 1970, and how many alerts one may have.

    The threshold of a day is the median, over up to seven days before it, of the score that would just have filled
    that day's budget, so that the budget lasts; 0.5 on the first. A day's alerts are given in the order of the
    transactions, ties of time by position: the first ones of a full day stand, whatever comes later.
    """

    per_day: int
    days: Mapping[int, Day]

    def decided(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, "Budget"]:
        """Rows (in order, with day, score, card, rule, allowed, denied) with `threshold` and `decision`."""
        days, parts = dict(self.days), []
        for part in rows.partition_by("day", maintain_order=True):
            number = int(part["day"][0])
            day = days.get(number) or Day(self._threshold(days, number), 0, (), frozenset())
            decided, days[number] = self._of_day(part, day)
            parts.append(decided)
        kept = sorted(days)[-_DAYS - 1 :]
        return pl.concat(parts), Budget(self.per_day, {number: days[number] for number in kept})

    def _threshold(self, days: Mapping[int, Day], number: int) -> float:
        past = [day.best for earlier, day in days.items() if number - _DAYS <= earlier < number]
        filling = [best[self.per_day - 1] if len(best) >= self.per_day else min(best, default=_FIRST) for best in past]
        return float(np.median(filling)) if filling else _FIRST

    def _of_day(self, rows: pl.DataFrame, day: Day) -> tuple[pl.DataFrame, Day]:
        wanted = pl.when("allowed").then(pl.lit(ALLOW)).when("denied").then(pl.lit(DENY))
        wanted = wanted.when(pl.col("rule").is_not_null()).then(pl.lit(RULE))
        told = wanted.when(pl.col("score") >= day.threshold).then(pl.lit(FLAG)).otherwise(pl.lit(PASS))
        rows = rows.with_columns(decision=told, threshold=pl.lit(day.threshold)).with_row_index("_row")
        asking = rows.filter(pl.col("decision").is_in(FLAGGED))
        known = pl.col("card").is_in(list(day.cards)) | ~pl.col("_row").is_in(
            asking.unique("card", keep="first", maintain_order=True)["_row"].implode()
        )
        again = pl.col("decision").is_in(FLAGGED) & known & pl.col("card").is_not_null()
        rows = rows.with_columns(decision=pl.when(again).then(pl.lit(SUPPRESSED)).otherwise("decision"))
        given = pl.col("decision").is_in(FLAGGED)
        over = given & (given.cum_sum() > self.per_day - day.alerts)
        rows = rows.with_columns(decision=pl.when(over).then(pl.lit(OVER)).otherwise("decision"))
        alerts = rows.filter(pl.col("decision").is_in(FLAGGED))
        cards = day.cards | set(alerts["card"].drop_nulls())
        best = np.sort(np.concatenate([day.best, rows["score"].to_numpy()]))[::-1][: self.per_day]
        after = Day(day.threshold, day.alerts + alerts.height, tuple(best.tolist()), frozenset(cards))
        return rows.drop("_row"), after

    def dump(self) -> bytes:
        """As JSON."""
        days: dict[str, Any] = {}
        for number, day in self.days.items():
            days[str(number)] = {**day.__dict__, "cards": sorted(day.cards)}
        return json.dumps(days, sort_keys=True).encode()

    @staticmethod
    def load(per_day: int, blob: bytes) -> "Budget":
        """The inverse of `dump`."""
        days = json.loads(blob)
        return Budget(
            per_day,
            {
                int(number): Day(day["threshold"], day["alerts"], tuple(day["best"]), frozenset(day["cards"]))
                for number, day in days.items()
            },
        )
