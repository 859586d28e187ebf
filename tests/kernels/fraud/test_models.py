"""Models: what they learn, that order makes no difference, and that their bytes are checked."""

import numpy as np
import pytest

from ecompulse.kernels.fraud.artefact import ArtefactError, dump_artefact, load_artefact
from ecompulse.kernels.fraud.drift import Drift
from ecompulse.kernels.fraud.models import BoostedTrees, OnlineLogistic, TailScores
from ecompulse.kernels.fraud.tallies import Tally

RANDOM = np.random.default_rng(3)
COLUMNS = RANDOM.exponential(size=(2_000, 3)).astype(np.float32)
COLUMNS[::7, 2] = np.nan
LABELS = (COLUMNS[:, 0] > 3).astype(float)
MODELS = {
    "tails": TailScores(np.array([0, 2])),
    "logistic": OnlineLogistic(3),
    "trees": BoostedTrees(),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_was_learnt_survives_dump_and_load(name):
    model = MODELS[name]
    for _ in range(30):
        model = model.learn_many(COLUMNS, LABELS)
    again = type(model).load(model.dump())
    assert (again.score_many(COLUMNS) == model.score_many(COLUMNS)).all()
    assert again.dump() == model.dump()
    scores = model.score_many(COLUMNS)
    assert np.median(scores[LABELS > 0]) > np.quantile(scores[LABELS == 0], 0.9)


@pytest.mark.parametrize("name", MODELS)
def test_learning_the_same_twice_gives_the_same_bytes(name):
    assert MODELS[name].learn_many(COLUMNS, LABELS).dump() == MODELS[name].learn_many(COLUMNS, LABELS).dump()


@pytest.mark.parametrize("name", MODELS)
def test_damaged_or_foreign_bytes_are_refused(name):
    blob = MODELS[name].learn_many(COLUMNS, LABELS).dump()
    with pytest.raises(ArtefactError, match="damaged"):
        type(MODELS[name]).load(blob[:-1])
    with pytest.raises(ArtefactError, match="damaged"):
        type(MODELS[name]).load(blob[:100] + bytes([blob[100] ^ 1]) + blob[101:])
    with pytest.raises(ArtefactError, match="not a"):
        type(MODELS[name]).load(dump_artefact("other", {}, {}))


def test_objects_are_no_arrays():
    with pytest.raises(ArtefactError, match="object"):
        load_artefact("x", dump_artefact("x", {}, {"a": np.array([None])}))


def test_order_and_cut_of_what_the_tails_learn_make_no_difference():
    model = MODELS["tails"].learn_many(COLUMNS)
    whole = model.plus(model.tally(COLUMNS))
    order = RANDOM.permutation(len(COLUMNS))
    cut = model.plus(model.tally(COLUMNS[order[:700]])).plus(model.tally(COLUMNS[order[700:]]))
    assert whole.dump() == cut.dump()


def test_what_has_become_common_is_no_surprise():
    usual = np.zeros((20_000, 1), np.float32)
    model = TailScores(np.array([0])).learn_many(usual)
    odd = np.full((1_000, 1), 5.0, np.float32)
    before = model.score_many(odd[:1])[0]
    after = model.aged(1.0, 0.001).learn_many(odd).score_many(odd[:1])[0]
    assert before > 5
    assert after < 0.1


def test_calibration_makes_odds_true():
    truth = RANDOM.normal(-2, 2, 200_000)
    labels = (RANDOM.random(truth.size) < 1 / (1 + np.exp(-truth))).astype(float)
    found = Tally().plus((truth - 1) / 2, labels, np.ones(truth.size)).calibration()
    assert found
    slope, shift = found
    assert Tally().calibration() is None
    assert slope == pytest.approx(2, abs=0.05)
    assert shift == pytest.approx(1, abs=0.05)


def test_average_precision_of_a_case_by_hand():
    tally = Tally().plus(np.array([3.0, 2.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4))
    assert tally.average_precision() == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert Tally().average_precision() is None


def test_drift_is_found_where_the_mean_moves_and_not_elsewhere():
    quiet, moved = Drift(), Drift()
    for value in RANDOM.normal(0, 1, 1_000):
        quiet = quiet.plus(value)
    for value in np.concatenate([RANDOM.normal(0, 1, 200), RANDOM.normal(3, 1, 100)]):
        moved = moved.plus(value)
    assert quiet.found <= 1
    assert moved.found >= 1
    assert moved.values.mean() > 2
