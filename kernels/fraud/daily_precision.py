"""Days and what became of them: quality as one who looks at the alerts sees it, once the labels are there."""

from typing import Final

import polars as pl

from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.rows import DAY_MS

DAYS_SCHEMA: Final = pl.Schema(
    {
        "day": pl.String(),
        "one": pl.String(),
        "scored": pl.Int64(),
        "known": pl.Float64(),
        "best": pl.List(pl.Int64()),
        "scores": pl.List(pl.Float64()),
        "alerts": pl.List(pl.Int64()),
        "frauds": pl.List(pl.Int64()),
        "ends": pl.Int64(),
    }
)
"""Of a local day (number since 1970, as text): transactions `scored`, and of how many the label is `known`; the `best`
cards, by their highest score, with these `scores`; cards that had an alert, and those that were defrauded. Cards are
64-bit hashes. `ends` (ms): when it is forgotten."""

TOP: Final = 100
_FRAUDS: Final = 10_000  # defrauded cards of a day that are told apart
_RIPE: Final = 0.95  # share of a day's labels that makes it worth a judgement
_DAYS: Final = 7


def hashed(card: pl.Series) -> pl.Series:
    """Cards as Int64."""
    return fingerprint(card)["lo"].reinterpret(signed=True).alias("card")


def noted(known: pl.DataFrame, scored: pl.DataFrame, told: pl.DataFrame, one: str, keep: int) -> pl.DataFrame:
    """The days that are touched, as they are now (DAYS_SCHEMA).

    Args:
        known: these days as they were.
        scored: `day` (Int32), `card` (Int64), `score`, `flagged`: transactions.
        told: `day`, `card`, `label`, `weight`: labels that have become known, each for `weight` transactions.
        one: the key of all.
        keep: ms after its beginning for which a day is kept.
    """
    before = known.with_columns(pl.col("day").cast(pl.Int32))
    kept = before.select("day", card="best", score="scores").explode("card", "score", empty_as_null=False)
    best = pl.concat([kept, scored.select("day", "card", "score")])
    best = best.group_by("day", "card").agg(pl.col("score").max()).sort(["score", "card"], descending=[True, False])
    best = best.group_by("day").agg(best=pl.col("card").head(TOP), scores=pl.col("score").head(TOP))
    counts = pl.concat(
        [
            before.select("day", "scored", "known"),
            scored.group_by("day").agg(pl.len().cast(pl.Int64).alias("scored"), pl.lit(0.0).alias("known")),
            told.group_by("day").agg(pl.lit(0, pl.Int64).alias("scored"), pl.col("weight").sum().alias("known")),
        ]
    )
    found = counts.group_by("day").agg(pl.col("scored", "known").sum()).join(best, on="day", how="left")
    for name, new in (("alerts", scored.filter("flagged")), ("frauds", told.filter(pl.col("label") == 1))):
        cards = [before.select("day", card=name).explode("card", empty_as_null=False), new.select("day", "card")]
        kept = pl.concat(cards).unique().sort("card").group_by("day").agg(pl.col("card").head(_FRAUDS).alias(name))
        found = found.join(kept, on="day", how="left")
    empty = [pl.col(name).fill_null(pl.lit([], DAYS_SCHEMA[name])) for name in ("best", "scores", "alerts", "frauds")]
    ends = pl.col("day").cast(pl.Int64) * DAY_MS + keep
    found = found.with_columns(*empty, ends=ends, one=pl.lit(one), day=pl.col("day").cast(pl.String))
    return found.select(DAYS_SCHEMA.names()).sort("day")


def quality(days: pl.DataFrame) -> dict[str, float]:
    """Over the last seven days of which (almost) all labels are known; nothing before there is one.

    - `card_precision_100`: share of the hundred cards with a day's highest scores that were defrauded that day; mean.
    - `recall_at_budget`: share of the cards that were defrauded on a day that had an alert that day; of all days.
    - `false_alarms_per_day`: cards with an alert that were not defrauded that day; mean.
    """
    ripe = days.filter(pl.col("scored") > 0, pl.col("known") >= _RIPE * pl.col("scored"))
    ripe = ripe.sort(pl.col("day").cast(pl.Int64)).tail(_DAYS)
    if ripe.is_empty():
        return {}

    def both(one: str) -> pl.Expr:
        return pl.col(one).list.set_intersection("frauds").list.len().cast(pl.Float64)

    found = ripe.select(
        card_precision_100=(both("best") / pl.col("best").list.len()).mean(),
        recall_at_budget=both("alerts").sum() / pl.col("frauds").list.len().sum(),
        false_alarms_per_day=(pl.col("alerts").list.len() - both("alerts")).mean(),
        days_judged=pl.len(),
    )
    named = found.fill_nan(None).row(0, named=True).items()
    return {name: float(value) for name, value in named if value is not None}
