"""The kernels together: scores are the same for any cut, shards do not matter, and no label leaks."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.kernels.event import ORDER, TIME
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.entity import Entity, FeatureSet
from ecompulse.kernels.fraud.examples import marked, pack
from ecompulse.kernels.fraud.labels import as_labelled
from ecompulse.kernels.rows import conform
from support.stepping import OneShard
from support.streams import BASE

HOUR = 3_600_000
START = BASE // HOUR * HOUR
FEATURES = FeatureSet({"user": Entity("visitor"), "merchant": Entity("merchant_id")})
DETECTION = FraudDetection(FEATURES, wait=0, margin=600_000, refit=6 * HOUR, alerts_per_day=5, legitimate=1_000)
SIZE = 1_500


def shop(seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
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
            "partition": pl.Series([0] * SIZE, dtype=pl.Int32),
            "offset": range(SIZE),
            "visitor": [f"v{n}" for n in random.integers(0, 100, SIZE)],
            "merchant_id": [f"m{n}" for n in merchant],
            "minor": np.rint(amount * 10_000).astype(np.int64),
        }
    )
    labels = rows.select("transaction_id", *ORDER).with_columns(
        pl.col("event_time") + pl.duration(hours=5), label=pl.Series(fraud.astype(np.int64)), rank=pl.lit(0, pl.Int64)
    )
    return as_labelled(rows), as_labelled(labels)


def scores(rows: pl.DataFrame, labels: pl.DataFrame, hours: int) -> pl.DataFrame:
    """Through all kernels, an epoch every so many hours."""
    kernels = [DETECTION.labels, *DETECTION.chain, DETECTION.examples, DETECTION.scores]
    shards = {kernel.name: OneShard(kernel) for kernel in kernels}
    names, found = FEATURES.names, []
    before = START
    for until in range(START + hours * HOUR, START + 101 * HOUR, hours * HOUR):
        inside = pl.col("event_time").dt.epoch("ms").is_between(before, until - 1)
        known = shards["labels"].step(pl.concat([rows.filter(inside), labels.filter(inside)]), until)
        shown = DETECTION.first(known["transactions"])
        for kernel in DETECTION.chain:
            both = [conform(part, kernel.inputs) for part in (shown, known["marks"])]
            shown = shards[kernel.name].step(pl.concat(both), before)["transactions"]
        packed = pack(shown, names)
        asked = marked(known["marks"], len(names))
        examples = shards["examples"].step(pl.concat([packed, asked]), before)["examples"]
        found.append(shards["fraud_scores"].step(pl.concat([packed, examples]), before)["risk_scores"])
        before = until
    return pl.concat(found).sort("event_time", "transaction_id")


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


@pytest.mark.parametrize("hours", [1, 7])
def test_any_cut_gives_the_same_scores(hours, whole):
    assert_frame_equal(scores(*shop(), hours), whole, check_exact=True)


def test_labels_planted_in_the_future_change_nothing_before(whole):
    rows, labels = shop()
    moment = START + 48 * HOUR
    after = pl.col("event_time").dt.epoch("ms") >= moment
    planted = labels.with_columns(label=pl.when(after).then(1 - pl.col("label")).otherwise("label"))
    found = scores(rows, planted, 7)
    before = pl.col("event_time").dt.epoch("ms") <= moment
    assert_frame_equal(found.filter(before), whole.filter(before), check_exact=True)
    assert not found.filter(~before).equals(whole.filter(~before))
