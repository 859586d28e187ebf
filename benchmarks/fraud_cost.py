"""Fraud: CPU-seconds of all features, scores, decisions and learning, with their state, beside river's own loop.

An epoch a day and an epoch a week, with the entities that the data has, and with all five of the standard set: card,
device and address are made up of the customer then. River goes row by row, with the features given, and making a third
of them (sums and means of the same entities) by itself.
"""

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.fraud_replay import WEEK, detection, load, replay, there, transactions
from benchmarks.measure import table
from ecompulse.kernels.fraud.examples import matrix

ROWS_OF_RIVER: Final = 4_000
_TWO: Final = ("visitor", "merchant_id")
_ALL: Final = (*_TWO, "card_id", "device_id", "ip")


def run() -> None:
    """Measure and print."""
    if not there():
        return
    data = load()
    found = {}
    for name, whole in (("two entities", False), ("all five", True)):
        for days in (1, WEEK):
            _, cost, packed = replay(data, detection(whole=whole), days=days)
            found[f"{name}, epochs of {days} d"] = cost
            if not whole:
                given = of_river(packed)
    size = data.height
    kinds = [*found["all five, epochs of 1 d"]]
    rows = [
        (kind, *(f"{1e6 * cost[kind] / size:.1f}" if kind in cost else "" for cost in found.values())) for kind in kinds
    ]
    totals = [sum(cost.values()) for cost in found.values()]
    rows += [("all", *(f"{1e6 * total / size:.1f}" for total in totals))]
    rows += [("transactions per CPU-second", *(f"{size / total:,.0f}" for total in totals))]
    table(["us per transaction", *found], rows)
    learnt = [size / found[f"two entities, epochs of {days} d"]["fraud_scores"] for days in (1, WEEK)]
    both, whole = ([size / total for total in part] for part in (totals[:2], totals[2:]))
    peers = [
        ("score and learn, features given", given, learnt),
        ("with sums and means of two entities", of_river_with_features(_TWO), both),
        ("with sums and means of all five", of_river_with_features(_ALL), whole),
    ]
    print()
    table(
        ["river, row by row", "us per transaction", "ours beside it, epochs of a day", "of a week"],
        [(name, f"{1e6 / rate:.0f}", *(f"{mine / rate:.1f}x" for mine in ours)) for name, rate, ours in peers],
    )


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
