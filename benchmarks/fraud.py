"""Fraud: quality on the handbook's simulated data, prequential, and the cost of all features, scores and learning.

Quality: labels come 7 days after their transaction; the peers are trained on 2018-06-20..26, all are tested on
2018-07-04..10, without customers whose fraud was known by then. Ours has learnt on the stream since 2018-04-01. The
same is done for the seven weeks before, with the peers trained anew for each. The peers' 15 features and the measures
follow the description in the Fraud Detection Handbook (Le Borgne et al.); its code is GPL and none of it is used.

Cost: CPU-seconds of the kernels with their state, an epoch a day and an epoch a week; river beside it, row by row, with
the features given, and making a third of them (sums and means) by itself.
"""

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import table
from ecompulse.epochs.runs import compact, make_run
from ecompulse.epochs.state import ShardState
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.entity import TRANSACTION_SCHEMA, standard_features
from ecompulse.kernels.fraud.examples import marked, matrix, pack
from ecompulse.kernels.fraud.labels import as_labelled
from ecompulse.kernels.rows import conform
from ecompulse.kernels.step import Clock, Kernel

DATA = Path(__file__).parents[2] / "shared" / "data" / "fraud_transactions_2018-04-01_2018-07-10.parquet"
FIRST = dt.datetime(2018, 4, 1, tzinfo=dt.UTC)
TRAIN = 80
"""Number of the first day of training, from the first of the data: 2018-06-20."""

WEEKS = 8
"""Weeks of test that are shown, the last of them the one that the goal names."""

WEEK = 7
DAY_MS = 86_400_000
ROWS_OF_RIVER = 4_000
CARDS = 100


def run() -> None:
    """Measure and print."""
    if not DATA.exists():
        print(f"{DATA} is not here: nothing is measured")
        return
    import xgboost  # noqa: F401, PLC0415  # its start-up is not the models'

    data = load()
    ours, cost, packed = replay(data, detection())
    alone, _, _ = replay(data, detection(), supervised=False)
    data = data.hstack(handbook_features(data))
    scores = {"ours, without labels": alone, "ours": ours}
    quality(data, scores)
    print()
    _, weekly, _ = replay(data, detection(), days=WEEK)
    speed(data.height, cost, weekly, packed)


def quality(data: pl.DataFrame, scores: dict[str, pl.DataFrame]) -> None:
    """Print the measures of the last week of test, and means over all."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for week in range(WEEKS):
        train = TRAIN - WEEK * (WEEKS - 1 - week)
        for name, score in (*peers(data, train), *scores.items()):
            found.setdefault(name, []).append(measures(data, score, train))
    header = ["model", "ROC-AUC", "average precision", "card precision@100"]
    table(header, [(name, *shown(np.array(rows[-1]))) for name, rows in found.items()])
    print(f"\nmean of {WEEKS} weeks of test, the last one among them\n")
    table(header, [(name, *shown(np.mean(rows, axis=0))) for name, rows in found.items()])
    print("\nROC-AUC, week by week\n")
    table(
        ["model", *(str(n + 1) for n in range(WEEKS))],
        [(name, *shown(np.array(rows)[:, 0])) for name, rows in found.items()],
    )


def shown(values: np.ndarray) -> list[str]:
    """Three digits."""
    return [f"{value:.3f}" for value in values]


def speed(size: int, cost: dict[str, float], weekly: dict[str, float], packed: pl.DataFrame) -> None:
    """Print what a transaction costs."""
    given, alone = of_river(packed), of_river_with_features()
    rows = [(name, spent, weekly[name]) for name, spent in cost.items()]
    rows.append(("all of ours", sum(cost.values()), sum(weekly.values())))
    told = [(name, *(f"{1e6 * spent / size:.1f}" for spent in both), *(f"{size / spent:,.0f}" for spent in both))
            for name, *both in rows]  # fmt: skip
    for name, rate in (("river: features given", given), ("river: sums and means too", alone)):
        told.append((name, f"{1e6 / rate:.1f}", "", f"{rate:,.0f}", ""))
    header = [
        "what",
        "us per transaction, epochs of a day",
        "of a week",
        "transactions per CPU-second, of a day",
        "of a week",
    ]
    table(header, told)
    learnt, whole = weekly["fraud_scores"] / size, sum(weekly.values()) / size
    print(f"\nriver beside ours: score and learn {1 / given / learnt:.1f}x, with features {1 / alone / whole:.1f}x")


def load() -> pl.DataFrame:
    """The data in order, with the number of the day."""
    found = pl.read_parquet(DATA).sort("tx_datetime", "transaction_id").with_row_index("row")
    day = (pl.col("tx_datetime").dt.date() - FIRST.date()).dt.total_days()
    return found.with_columns(day.cast(pl.Int64).alias("day"), at=pl.col("tx_datetime").dt.epoch("ms"))


def detection() -> FraudDetection:
    """The job's own settings, with the entities that the data has; labels count when they come."""
    features = standard_features()
    kept = {name: features.entities[name] for name in ("user", "merchant")}
    kept["user"] = replace(kept["user"], pairs={}, travel=False)
    return FraudDetection(replace(features, entities=kept), wait=0, margin=0)


def transactions(data: pl.DataFrame) -> pl.DataFrame:
    """As the mapping `fraud_handbook` and the job make them."""
    rows = data.select(
        transaction_id=pl.col("transaction_id").cast(pl.String),
        event_time=pl.col("at").cast(TRANSACTION_SCHEMA["event_time"]),
        source=pl.lit("data"),
        partition=pl.lit(0, pl.Int32),
        offset=pl.col("row").cast(pl.Int64),
        visitor=pl.col("customer_id").cast(pl.String),
        merchant_id=pl.col("terminal_id").cast(pl.String),
        minor=(pl.col("tx_amount") * 10_000).round().cast(pl.Int64),
    )
    return as_labelled(rows)


@dataclass
class Stepper:
    """Kernels with their state, an epoch a day; counts CPU seconds by kernel, state included."""

    cost: dict[str, float] = field(default_factory=dict)
    states: dict[str, ShardState] = field(default_factory=dict)

    def step(self, kernel: Kernel, rows: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """One step, and its changes merged as the store merges them."""
        began = time.process_time()
        state = self.states.setdefault(kernel.name, ShardState(kernel, clock)).at(clock)
        done = kernel.step(state, rows.select(kernel.inputs.names()), clock)
        for name, change in done.changes.items():
            spec = next(found for found in kernel.tables if found.name == name)
            runs = [*state._load(name), make_run(spec, change.keys, change.rows)]  # noqa: SLF001
            kept, fresh = compact(runs, expires=spec.expires, watermark=clock.watermark)
            state._runs[name] = [*runs[:kept], *fresh]  # noqa: SLF001
        state._head.stepped = clock.watermark  # noqa: SLF001
        self.cost[kernel.name] = self.cost.get(kernel.name, 0.0) + time.process_time() - began
        return dict(done.outputs)


def replay(
    data: pl.DataFrame, fraud: FraudDetection, *, supervised: bool = True, days: int = 1
) -> tuple[pl.DataFrame, dict[str, float], pl.DataFrame]:
    """Scores by `row`, CPU seconds by part, and the packed features of the last epoch (of `days`)."""
    rows, stepper = transactions(data), Stepper()
    later = pl.col("event_time") + pl.duration(days=WEEK)
    labels = rows.select("transaction_id", "source", "partition", "offset", event_time=later)
    labels = as_labelled(labels.with_columns(label=data["tx_fraud"].cast(pl.Int64), rank=pl.lit(0, pl.Int64)))
    kernel, names = fraud.scores, fraud.features.names
    kernel = replace(kernel, how=replace(kernel.how, supervised=supervised))
    found, packed = [], pl.DataFrame()
    for number, (new, told) in enumerate(_epochs(days, rows, labels)):
        before, after = (int(FIRST.timestamp() * 1000) + (number + n) * days * DAY_MS for n in (0, 1))
        ahead, clock = Clock(number + 1, after, 0), Clock(number + 1, before, 0)
        known = stepper.step(fraud.labels, pl.concat([new, told]), ahead)
        marks, shown = known["marks"], fraud.first(known["transactions"])
        for entity in fraud.chain:
            both = [conform(part, entity.inputs) for part in (shown, marks)]
            shown = stepper.step(entity, pl.concat(both), clock)["transactions"]
        packed = pack(shown, names)
        asked = marked(marks, len(names))
        examples = stepper.step(fraud.examples, pl.concat([packed, asked]), clock)["examples"]
        found.append(stepper.step(kernel, pl.concat([packed, examples]), clock)["risk_scores"])
    scores = pl.concat(found).select(pl.col("transaction_id").cast(pl.Int64), "score")
    joined = data.select("row", pl.col("transaction_id").cast(pl.Int64)).join(scores, on="transaction_id", how="left")
    return joined.select("row", "score"), stepper.cost, packed


def _epochs(days: int, *frames: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, ...]]:
    last = frames[0]["event_time"].max()
    assert isinstance(last, dt.datetime)  # noqa: S101  # the data has rows
    for number in range(0, (last - FIRST).days + 1, days):
        since, until = FIRST + dt.timedelta(number), FIRST + dt.timedelta(number + days)
        yield tuple(frame.filter(pl.col("event_time").is_between(since, until, closed="left")) for frame in frames)


def tested(data: pl.DataFrame, train: int) -> pl.DataFrame:
    """Test days of what was trained from day `train` on, without customers whose fraud was in training or is known."""
    fraud = data.filter(pl.col("tx_fraud") == 1)
    parts = []
    for number in range(WEEK):
        known = fraud.filter(pl.col("day").is_between(train, train + WEEK - 1 + number))["customer_id"].unique()
        day = data.filter(pl.col("day") == train + 2 * WEEK + number)
        parts.append(day.filter(~pl.col("customer_id").is_in(known.implode())))
    return pl.concat(parts)


def measures(data: pl.DataFrame, scores: pl.DataFrame, train: int) -> tuple[float, float, float]:
    """ROC-AUC, average precision, mean card precision@100 of a day; a card that was found is out from then on."""
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
    return float(roc_auc_score(truth, score)), float(average_precision_score(truth, score)), float(np.mean(hits))


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


def of_river_with_features() -> float:
    """The same, with sums and means of both entities in four windows by river's own aggregates."""
    from river import feature_extraction, stats, utils  # noqa: PLC0415

    data = load().filter(pl.col("day") < 2).head(ROWS_OF_RIVER)  # short windows: river's best case
    lengths = [dt.timedelta(hours=1), *(dt.timedelta(days) for days in (1, 7, 30))]
    found: list[Any] = [
        feature_extraction.Agg(on="tx_amount", by=key, how=utils.TimeRolling(what(), period=length))
        for key in ("customer_id", "terminal_id") for length in lengths for what in (stats.Sum, stats.Mean)
    ]  # fmt: skip
    trees, linear = _river()
    rows = data.select("tx_datetime", "customer_id", "terminal_id", "tx_amount").to_dicts()
    began = time.process_time()
    for row in rows:
        at = row.pop("tx_datetime")
        features: dict[Any, Any] = {"amount": row["tx_amount"], "hour": at.hour, "weekend": at.weekday()}
        for n, one in enumerate(found):
            features[str(n)] = next(iter(one.transform_one(row).values())) or 0.0
            one.learn_one(row, t=at)
        _step_of_river(trees, linear, features)
    return len(rows) / (time.process_time() - began)


def _river() -> tuple[Any, Any]:
    from river import anomaly, compose, linear_model, preprocessing  # noqa: PLC0415

    trees = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    return trees, compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())


def _step_of_river(trees: Any, linear: Any, row: dict[Any, Any]) -> None:
    trees.score_one(row)
    trees.learn_one(row)
    linear.predict_proba_one(row)
    linear.learn_one(row, y=False)
