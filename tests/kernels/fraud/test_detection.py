"""The kernels together: scores are the same for any cut, shards do not matter, and no label leaks."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.kernels.event import ORDER, TIME
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.entity import Entity, FeatureSet, standard_features
from ecompulse.kernels.fraud.examples import marked, pack
from ecompulse.kernels.fraud.labels import as_labelled
from ecompulse.kernels.fraud.models.registry import HalfSpace, Models
from ecompulse.kernels.rows import conform
from support.stepping import OneShard
from support.streams import BASE

HOUR = 3_600_000
START = BASE // HOUR * HOUR
FEATURES = FeatureSet({"user": Entity("visitor"), "merchant": Entity("merchant_id")})
DETECTION = FraudDetection(FEATURES, wait=0, margin=600_000, refit=6 * HOUR, alerts_per_day=5, legitimate=1_000)
SIZE = 1_500


def shop(seed: int = 1, visitors: int = 100) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Transactions of three days, a tenth at a bad merchant, and their labels, known five hours later."""
    random = np.random.default_rng(seed)
    at = np.sort(random.integers(0, 72 * HOUR, SIZE))
    merchant = random.integers(0, 30, SIZE)
    fraud = (merchant < 3) & (random.random(SIZE) < 0.9)
    amount = random.exponential(40, SIZE) * np.where(fraud, 4, 1)
    rows = pl.DataFrame(
        {
            "transaction_id": [f"t{n}" for n in range(SIZE)],
            "event_time": pl.Series(START + at).cast(TIME),
            "source": "s",
            "source_partition": pl.Series([0] * SIZE, dtype=pl.Int32),
            "source_offset": range(SIZE),
            "visitor": [f"v{n}" for n in random.integers(0, visitors, SIZE)],
            "merchant_id": [f"m{n}" for n in merchant],
            "minor": np.rint(amount * 10_000).astype(np.int64),
        }
    )
    labels = rows.select("transaction_id", *ORDER).with_columns(
        pl.col("event_time") + pl.duration(hours=5), label=pl.Series(fraud.astype(np.int64)), rank=pl.lit(0, pl.Int64)
    )
    return as_labelled(rows), as_labelled(labels)


def scores(rows: pl.DataFrame, labels: pl.DataFrame, hours: int, detection: FraudDetection = DETECTION) -> pl.DataFrame:
    """Through all kernels, an epoch every so many hours."""
    return outputs(rows, labels, hours, detection)["risk_scores"].sort("event_time", "transaction_id")


def outputs(
    rows: pl.DataFrame, labels: pl.DataFrame, hours: int, detection: FraudDetection = DETECTION
) -> dict[str, pl.DataFrame]:
    """Of the last kernel."""
    kernels = [detection.labels, *detection.chain, detection.examples, detection.scores]
    shards = {kernel.name: OneShard(kernel) for kernel in kernels}
    names, found = FEATURES.names, []
    before = START
    for until in range(START + hours * HOUR, START + 101 * HOUR, hours * HOUR):
        inside = pl.col("event_time").dt.epoch("ms").is_between(before, until - 1)
        known = shards["labels"].step(pl.concat([rows.filter(inside), labels.filter(inside)]), until)
        shown = detection.first(known["transactions"])
        for kernel in detection.chain:
            both = [conform(part, kernel.inputs) for part in (shown, known["marks"])]
            shown = shards[kernel.name].step(pl.concat(both), before)["transactions"]
        packed = pack(shown, names)
        asked = marked(known["marks"], len(names))
        examples = shards["examples"].step(pl.concat([packed, asked]), before)["examples"]
        found.append(shards["fraud_scores"].step(pl.concat([packed, examples]), before))
        before = until
    return {name: pl.concat([step[name] for step in found]) for name in found[0]}


@pytest.fixture(scope="module")
def whole() -> pl.DataFrame:
    return scores(*shop(), 100 // 2)


def test_trees_are_grown_and_the_score_tells_frauds(whole):
    _, labels = shop()
    assert whole["model_version"].str.contains("/").any()
    late = whole.filter(pl.col("event_time").dt.epoch("ms") > START + 40 * HOUR)
    late = late.join(labels.select("transaction_id", "label"), on="transaction_id")
    means = dict(late.group_by("label").agg(pl.col("score").mean()).rows())
    assert means[1] > 0.5
    assert means[0] < 0.1
    flagged = whole.filter(pl.col("decision") == "flag")
    assert flagged.group_by(pl.col("event_time").dt.date()).len()["len"].max() <= 5
    assert (flagged["reasons"].list.len() <= 3).all()


@pytest.mark.slow
@pytest.mark.parametrize("hours", [1, 7])
def test_any_cut_gives_the_same_scores(hours, whole):
    assert_frame_equal(scores(*shop(), hours), whole, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "models",
    [
        Models(unsupervised="half_space_trees", online="river_logistic", boosted="none"),
        Models("river_half_space_trees", "none", "none", half_space=HalfSpace(trees=5, height=5)),
    ],
    ids=["half-space trees and river's regression", "river's half-space trees alone"],
)
def test_other_models_score_too_and_alike_for_any_cut(models):
    rows, labels = shop()
    detection = replace(DETECTION, models=models)
    found = [scores(rows, labels, hours, detection) for hours in (7, 50)]
    assert_frame_equal(*found, check_exact=True)
    late = found[0].filter(pl.col("event_time").dt.epoch("ms") > START + 40 * HOUR)
    late = late.join(labels.select("transaction_id", "label"), on="transaction_id")
    ranks = late.with_columns(pl.col("score").rank() / late.height).group_by("label").agg(pl.col("score").mean())
    means = dict(ranks.rows())
    assert means[1] > means[0] + 0.2


def by_hand(day: pl.DataFrame) -> tuple[float, int, int, int]:
    """Of a day: share of the hundred best cards that were defrauded; defrauded with alert, and all; false alerts."""
    best, frauds, alerts = {}, set(), set()
    for row in day.to_dicts():
        best[row["card"]] = max(row["score"], best.get(row["card"], 0))
        frauds |= {row["card"]} if row["label"] else set()
        alerts |= {row["card"]} if row["decision"] == "flag" else set()
    top = sorted(best, key=lambda card: best[card])[-100:]
    return len(frauds & set(top)) / len(top), len(frauds & alerts), len(frauds), len(alerts - frauds)


def test_the_progress_tells_quality_by_day_once_labels_are_there():
    rows, labels = shop(visitors=400)
    told = outputs(rows, labels, 7)
    names = ("card_precision_100", "recall_at_budget", "false_alarms_per_day")
    found = {name: told["quality"].filter(pl.col("name") == name)["value"].to_list()[-1] for name in names}
    days = told["risk_scores"].select("transaction_id", "event_time", "score", "decision", card="visitor")
    days = days.join(labels.select("transaction_id", "label"), on="transaction_id")
    told_of = [by_hand(day) for _, day in days.group_by(pl.col("event_time").dt.date())]
    assert found["card_precision_100"] == pytest.approx(np.mean([share for share, *_ in told_of]))
    caught, frauds, wrong = (sum(part) for part in zip(*(rest for _, *rest in told_of), strict=True))
    assert found["recall_at_budget"] == pytest.approx(caught / frauds)
    assert found["false_alarms_per_day"] == pytest.approx(wrong / len(told_of))


def test_labels_planted_in_the_future_change_nothing_before(whole):
    rows, labels = shop()
    moment = START + 48 * HOUR
    after = pl.col("event_time").dt.epoch("ms") >= moment
    planted = labels.with_columns(label=pl.when(after).then(1 - pl.col("label")).otherwise("label"))
    found = scores(rows, planted, 7)
    before = pl.col("event_time").dt.epoch("ms") <= moment
    assert_frame_equal(found.filter(before), whole.filter(before), check_exact=True)
    assert not found.filter(~before).equals(whole.filter(~before))


def test_what_state_depends_on_is_fixed_and_nothing_else():
    base = FraudDetection(standard_features())
    entities = {"card": Entity("card_id", windows=("1h", "7d"))}
    for changed in (
        replace(base, every=1),
        replace(base, features=replace(base.features, entities=entities)),
        replace(base, features=replace(base.features, surprising=("amount",))),
    ):
        assert changed.fixed != base.fixed
    same = replace(base, alerts_per_day=1, features=replace(base.features, night=(1, 2), timezone="Europe/Paris"))
    assert same.fixed == FraudDetection(standard_features()).fixed
