"""Fraud: quality on the handbook's simulated data, prequential.

Labels come 7 days after their transaction; the peers are trained on 2018-06-20..26, all are tested on 2018-07-04..10,
without customers whose fraud was known by then. Ours has learnt on the stream since 2018-04-01. The same is done for
the seven weeks before, with the peers trained anew for each. The peers' 15 features and the measures follow the
description in the Fraud Detection Handbook (Le Borgne et al.); its code is GPL and none of it is used.

A fifth of the frauds tested cannot be told from any past: those at a terminal that was compromised within the last
seven days, before the first label of it (the data's second scenario; amounts and customers are as usual). What a model
ranks them at is chance, and so is a part of its ROC-AUC. So that is shown without them, too.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from benchmarks.fraud_replay import DAY_MS, WEEK, detection, load, replay, there
from benchmarks.measure import table

TRAIN: Final = 80
"""Number of the first day of training, from the first of the data: 2018-06-20."""

WEEKS: Final = 8
"""Weeks of test that are shown, the last of them the one that the goal names."""

CARDS: Final = 100


def run() -> None:
    """Measure and print."""
    if not there():
        return
    data = load()
    scores = {}
    for name, supervised in (("ours, without labels", False), ("ours", True)):
        scores[name], _, _ = replay(data, detection(), supervised=supervised)
    quality(data.hstack(handbook_features(data)).with_columns(hidden(data)), scores)


def quality(data: pl.DataFrame, scores: dict[str, pl.DataFrame]) -> None:
    """Print the measures of the last week of test, and means over all."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for week in range(WEEKS):
        train = TRAIN - WEEK * (WEEKS - 1 - week)
        for name, score in (*peers(data, train), *scores.items()):
            found.setdefault(name, []).append(measures(data, score, train))
    header = ["model", "ROC-AUC", "ROC-AUC of what can be told", "average precision", "card precision@100"]
    table(header, [(name, *shown(np.array(rows[-1]))) for name, rows in found.items()])
    print(f"\nmean of {WEEKS} weeks of test, the last one among them\n")
    table(header, [(name, *shown(np.mean(rows, axis=0))) for name, rows in found.items()])
    for number, what in enumerate(header[1:3]):
        print(f"\n{what}, week by week\n")
        weeks = [(name, *shown(np.array(rows)[:, number])) for name, rows in found.items()]
        table(["model", *(str(n + 1) for n in range(WEEKS))], weeks)


def shown(values: np.ndarray) -> list[str]:
    """Three digits."""
    return [f"{value:.3f}" for value in values]


def tested(data: pl.DataFrame, train: int) -> pl.DataFrame:
    """Test days of what was trained from day `train` on, without customers whose fraud was in training or is known."""
    fraud = data.filter(pl.col("tx_fraud") == 1)
    parts = []
    for number in range(WEEK):
        known = fraud.filter(pl.col("day").is_between(train, train + WEEK - 1 + number))["customer_id"].unique()
        day = data.filter(pl.col("day") == train + 2 * WEEK + number)
        parts.append(day.filter(~pl.col("customer_id").is_in(known.implode())))
    return pl.concat(parts)


def measures(data: pl.DataFrame, scores: pl.DataFrame, train: int) -> tuple[float, ...]:
    """ROC-AUC, the same of what can be told, average precision, mean card precision@100 of a day.

    A card that was found is out from then on.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415

    test = tested(data, train).join(scores, on="row", how="left")
    truth, score = test["tx_fraud"].to_numpy(), test["score"].to_numpy()
    hits, found = [], pl.Series("customer_id", [], test["customer_id"].dtype)
    for number in test["day"].unique().sort():
        day = test.filter(pl.col("day") == number, ~pl.col("customer_id").is_in(found.implode()))
        cards = day.group_by("customer_id").agg(pl.col("score", "tx_fraud").max())
        best = cards.sort("score", "customer_id", descending=[True, False]).head(CARDS)
        caught = best.filter(pl.col("tx_fraud") == 1)["customer_id"]
        hits.append(len(caught) / CARDS)
        found = pl.concat([found, caught])
    can = ~test["hidden"].to_numpy()
    areas = [float(roc_auc_score(truth, score)), float(roc_auc_score(truth[can], score[can]))]
    return *areas, float(average_precision_score(truth, score)), float(np.mean(hits))


def hidden(data: pl.DataFrame) -> pl.Series:
    """Whether each is a fraud at a terminal of which no fraud was known by then."""
    known = data.filter(pl.col("tx_fraud") == 1).select("terminal_id", told=pl.col("at") + WEEK * DAY_MS, known=True)
    found = data.select("row", "terminal_id", "at", "tx_fraud_scenario").sort("at")
    found = found.join_asof(
        known.sort("told"),
        left_on="at",
        right_on="told",
        by="terminal_id",
        tolerance=3 * WEEK * DAY_MS,
        check_sortedness=False,
    )
    unknown = (pl.col("tx_fraud_scenario") == 2) & pl.col("known").is_null()
    return found.sort("row").select(unknown.alias("hidden")).to_series()


def peers(data: pl.DataFrame, train: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """XGBoost and an isolation forest on the handbook's 15 features, trained for a week from day `train` on."""
    import xgboost  # noqa: PLC0415
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415

    names = [name for name in data.columns if name.startswith("hb_")]
    past, test = data.filter(pl.col("day").is_between(train, train + WEEK - 1)), tested(data, train)
    inputs, labels, asked = (part.to_numpy() for part in (past.select(names), past["tx_fraud"], test.select(names)))
    forest = IsolationForest(random_state=0, n_jobs=1).fit(inputs)
    yield "isolation forest", test.select("row").with_columns(score=-pl.Series(forest.score_samples(asked)))
    settings = {"objective": "binary:logistic", "nthread": 1, "seed": 0}  # else the library's defaults, 100 rounds
    model = xgboost.train(settings, xgboost.DMatrix(inputs, labels), 100)
    yield "XGBoost", test.select("row").with_columns(score=pl.Series(model.inplace_predict(asked)))


def handbook_features(data: pl.DataFrame) -> pl.DataFrame:
    """Amount, weekend, night; per customer count and mean amount, per terminal count and risk, 1, 7 and 30 days."""
    moment = pl.col("tx_datetime")
    found = data.select(
        "row", hb_amount="tx_amount", hb_weekend=(moment.dt.weekday() > 5).cast(pl.Float64),
        hb_night=(moment.dt.hour() <= 6).cast(pl.Float64),
    )  # fmt: skip
    for key, days in ((key, days) for key in ("customer_id", "terminal_id") for days in (1, 7, 30)):
        ordered = data.sort(key, "tx_datetime", "row")

        def rolled(period: int, ordered: pl.DataFrame = ordered, key: str = key) -> pl.DataFrame:
            windows = ordered.rolling("tx_datetime", period=f"{period}d", group_by=key)
            return windows.agg(
                pl.len().cast(pl.Int64), pl.col("tx_amount").mean(), pl.col("tx_fraud").cast(pl.Int64).sum()
            )

        if key == "customer_id":
            window = rolled(days)
            named = {f"hb_customer_{days}": window["len"], f"hb_mean_{days}": window["tx_amount"]}
        else:
            wide, late = rolled(days + WEEK), rolled(WEEK)
            count = wide["len"] - late["len"]
            risk = ((wide["tx_fraud"] - late["tx_fraud"]) / count).fill_nan(0.0).fill_null(0.0)
            named = {f"hb_terminal_{days}": count, f"hb_risk_{days}": risk}
        found = found.join(ordered.select("row").with_columns(**named), on="row", maintain_order="left")
    return found.drop("row")
