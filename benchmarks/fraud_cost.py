"""Fraud: CPU-seconds of all features, scores, decisions and learning, with their state, beside river's own loop.

An epoch a day and an epoch a week, with the entities that the data has, and with all five of the standard set: card,
device and address are made up of the customer then. River goes row by row, with the features given, and making a third
of them (sums and means of the same entities) by itself.
"""

import datetime as dt
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.fraud_replay import WEEK, detection, load, replay, there, transactions
from benchmarks.measure import table
from ecompulse.kernels.fraud.examples import matrix

ROWS_OF_RIVER: Final = 4_000
_TWO: Final = ("visitor", "merchant_id")
_LOOPS: Final = (
    "score and learn, features given", "with sums and means of two entities", "with sums and means of all five",
)  # fmt: skip
_ALL: Final = (*_TWO, "card_id", "device_id", "ip")


def run() -> None:
    """Measure and print."""
    if not there():
        return
    data = load()
    costs: dict[str, dict[str, float]] = {}
    given: list[pl.DataFrame] = []
    rivers = []
    for name, whole in (("two entities", False), ("all five", True)):
        for days in (1, WEEK):
            _, costs[f"{name}, epochs of {days} d"], packed = replay(data, detection(whole=whole), days=days)
            given.append(packed)
            # River again after each: how fast a shared machine is changes by the minute.
            rivers.append((of_river(given[0]), of_river_with_features(_TWO), of_river_with_features(_ALL)))
    per_row = {name: {kind: cost / data.height for kind, cost in found.items()} for name, found in costs.items()}
    table_of_costs(per_row)
    print()
    table_of_river(per_row, [statistics.median(rates) for rates in zip(*rivers, strict=True)])


def table_of_costs(costs: Mapping[str, Mapping[str, float]]) -> None:
    """CPU seconds per transaction, by what is measured and kernel."""
    kinds = next(reversed(costs.values()))
    rows = [(kind, *(f"{1e6 * cost[kind]:.1f}" if kind in cost else "" for cost in costs.values())) for kind in kinds]
    totals = [sum(cost.values()) for cost in costs.values()]
    rows += [("all", *(f"{1e6 * total:.1f}" for total in totals))]
    rows += [("transactions per CPU-second", *(f"{1 / total:,.0f}" for total in totals))]
    table(["us per transaction", *costs], rows)


def table_of_river(costs: Mapping[str, Mapping[str, float]], rates: Sequence[float]) -> None:
    """How long river takes by its `rates` (transactions per CPU-second), and how many times as many ours takes."""
    two, five = ([*costs.values()][:2], [*costs.values()][2:])
    ours = ([cost["fraud_scores"] for cost in two], [sum(cost.values()) for cost in two])
    whole = [sum(cost.values()) for cost in five]
    rows = [
        (name, f"{1e6 / rate:.0f}", *(f"{1 / (cost * rate):.1f}x" for cost in mine))
        for name, rate, mine in zip(_LOOPS, rates, (*ours, whole), strict=True)
    ]
    table(["river, row by row", "us per transaction", "ours beside it, epochs of a day", "of a week"], rows)


def of_river(packed: pl.DataFrame) -> float:
    """Transactions per CPU-second of river: half-space trees and logistic regression, scored and learnt row by row."""
    width = packed["vector"].dtype.shape[0]  # type: ignore[attr-defined]
    lines = np.nan_to_num(matrix(packed.head(ROWS_OF_RIVER), width)).tolist()
    rows = [dict(enumerate(line)) for line in lines]
    trees, linear = _river()
    began = time.process_time()
    for row in rows:
        _step_of_river(trees, linear, row)
    return len(rows) / (time.process_time() - began)


def of_river_with_features(entities: Sequence[str]) -> float:
    """The same, with sums and means of entities in four windows by river's own aggregates."""
    from river import feature_extraction, stats, utils  # noqa: PLC0415

    rows = transactions(load().filter(pl.col("day") < 2).head(ROWS_OF_RIVER))  # short windows: river's best case
    rows = rows.with_columns(pl.col("event_time").dt.replace_time_zone(None), amount=pl.col("minor") / 10_000)
    lengths = [dt.timedelta(hours=1), *(dt.timedelta(days) for days in (1, 7, 30))]
    found: list[Any] = [
        feature_extraction.Agg(on="amount", by=key, how=utils.TimeRolling(what(), period=length))
        for key in entities for length in lengths for what in (stats.Sum, stats.Mean)
    ]  # fmt: skip
    trees, linear = _river()
    told = rows.select("event_time", "amount", *entities).to_dicts()
    began = time.process_time()
    for row in told:
        at = row.pop("event_time")
        features: dict[Any, Any] = {"amount": row["amount"], "hour": at.hour, "weekend": at.weekday()}
        for n, one in enumerate(found):
            features[str(n)] = next(iter(one.transform_one(row).values())) or 0.0
            one.learn_one(row, t=at)
        _step_of_river(trees, linear, features)
    return len(told) / (time.process_time() - began)


def _river() -> tuple[Any, Any]:
    from river import anomaly, compose, linear_model, preprocessing  # noqa: PLC0415

    trees = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    return trees, compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())


def _step_of_river(trees: Any, linear: Any, row: dict[Any, Any]) -> None:
    trees.score_one(row)
    trees.learn_one(row)
    linear.predict_proba_one(row)
    linear.learn_one(row, y=False)
