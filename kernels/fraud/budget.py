"""Which transactions are flagged: a number of alerts per local day, not a bare threshold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

PASS, FLAG, RULE, DENY, ALLOW = "pass", "flag", "rule", "deny", "allow"
SUPPRESSED, OVER = "suppressed", "over_budget"
DECISIONS: Final = (PASS, FLAG, RULE, DENY, ALLOW, SUPPRESSED, OVER)
FLAGGED: Final = (FLAG, RULE, DENY)
"""Decisions that make an alert."""

_DAYS: Final = 7
_FIRST: Final = 0.5  # threshold before there is a whole day
_LEAST: Final = 0.1  # a smaller probability is not worth a look, however much budget is left


@dataclass(frozen=True)
class Day:
    """A local day so far.

    Attributes:
        threshold: in force all day.
        alerts: number of alerts so far.
        best: its largest scores, in descending order; as many as the budget.
        seen: cards and visitors that had their alert, or would have had it if the other had not.
    """

    threshold: float
    alerts: int
    best: tuple[float, ...]
    seen: frozenset[str]


@dataclass(frozen=True)
class Budget:
    """The remembered days, by number since 1970, and the number of alerts that one may have.

    The threshold of a day is the median, over up to seven days before it, of the score that would just have filled
    that day's budget, so that the budget lasts, 0.1 at the least; 0.5 on the first. A day's alerts are given in the
    order of the transactions, ties of time by position: the first ones of a full day stand, whatever comes later. A
    card, and a visitor, has one a day.
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
        filling = [best[self.per_day - 1] if len(best) >= self.per_day else _LEAST for best in past]
        return max(float(np.median(filling)), _LEAST) if filling else _FIRST

    def _of_day(self, rows: pl.DataFrame, day: Day) -> tuple[pl.DataFrame, Day]:
        wanted = pl.when("allowed").then(pl.lit(ALLOW)).when("denied").then(pl.lit(DENY))
        wanted = wanted.when(pl.col("rule").is_not_null()).then(pl.lit(RULE))
        told = wanted.when(pl.col("score") >= day.threshold).then(pl.lit(FLAG)).otherwise(pl.lit(PASS))
        rows = rows.with_columns(decision=told, threshold=pl.lit(day.threshold)).with_row_index("_row")
        asking = rows.filter(pl.col("decision").is_in(FLAGGED)).select("_row", "card", "visitor")
        first = asking.select("_row", *(_first(name) for name in ("card", "visitor")))
        known = pl.col("card").is_in(list(day.seen)) | pl.col("visitor").is_in(list(day.seen))
        again = asking.select("_row", again=known.fill_null(value=False))["again"] | ~(first["card"] & first["visitor"])
        # Once the budget is used up nothing more is told apart, and nothing more is remembered.
        left = self.per_day - day.alerts
        given = asking.filter(~again)["_row"].to_list()
        end = 0 if left <= 0 else given[left - 1] + 1 if len(given) >= left else rows.height
        repeated = asking.filter(again)["_row"]
        calm = pl.when(~pl.col("decision").is_in(FLAGGED)).then("decision")
        decision = calm.when(pl.col("_row") >= end).then(pl.lit(OVER))
        told = decision.when(pl.col("_row").is_in(repeated.implode())).then(pl.lit(SUPPRESSED)).otherwise("decision")
        rows = rows.with_columns(decision=told)
        alerts = day.alerts + rows.filter(pl.col("decision").is_in(FLAGGED)).height
        met = asking.filter(pl.col("_row") < end)
        seen = day.seen | set(met["card"].drop_nulls()) | set(met["visitor"].drop_nulls())
        best = np.sort(np.concatenate([day.best, rows["score"].to_numpy()]))[::-1][: self.per_day]
        return rows.drop("_row"), Day(day.threshold, alerts, tuple(best.tolist()), frozenset(seen))

    def dump(self) -> bytes:
        """As JSON."""
        days: dict[str, Any] = {}
        for number, day in self.days.items():
            days[str(number)] = {**day.__dict__, "seen": sorted(day.seen)}
        return json.dumps(days, sort_keys=True).encode()

    @staticmethod
    def load(per_day: int, blob: bytes) -> "Budget":
        """The inverse of `dump`."""
        days = json.loads(blob)
        return Budget(
            per_day,
            {
                int(number): Day(day["threshold"], day["alerts"], tuple(day["best"]), frozenset(day["seen"]))
                for number, day in days.items()
            },
        )


def _first(name: str) -> pl.Expr:
    """Whether a value comes for the first time; null always does."""
    return (pl.col(name).is_first_distinct() | pl.col(name).is_null()).alias(name)
