"""Models: what they learn, that order makes no difference, and that their bytes are checked."""

import numpy as np
import pytest
from river import anomaly

from ecompulse.kernels.fraud.artefact import ArtefactError, dump_artefact, load_artefact
from ecompulse.kernels.fraud.drift import Drift
from ecompulse.kernels.fraud.models.boosting import BoostedTrees, Boosting
from ecompulse.kernels.fraud.models.ecod import EcodScores
from ecompulse.kernels.fraud.models.half_space import HalfSpaceTrees
from ecompulse.kernels.fraud.models.logistic import OnlineLogistic
from ecompulse.kernels.fraud.models.registry import Models, load_model, parse_models
from ecompulse.kernels.fraud.models.river_logistic import RiverLogistic
from ecompulse.kernels.fraud.models.river_trees import RiverHalfSpaceTrees
from ecompulse.kernels.fraud.score_histograms import ScoreHistogram

RANDOM = np.random.default_rng(3)
COLUMNS = RANDOM.exponential(size=(2_000, 3)).astype(np.float32)
COLUMNS[::7, 2] = np.nan
LABELS = (COLUMNS[:, 0] > 3).astype(float)
CHOSEN = np.array([0, 2])
DAY = 86_400_000
UNSUPERVISED = {
    "tails": lambda: EcodScores(CHOSEN, 14 * DAY),
    "half-space trees": lambda: HalfSpaceTrees.grown(CHOSEN, 14 * DAY),
    "river's half-space trees": lambda: RiverHalfSpaceTrees.grown(CHOSEN, trees=10),
}
SUPERVISED = {
    "logistic": lambda: OnlineLogistic(3),
    "river's logistic": lambda: RiverLogistic(3),
    "trees": BoostedTrees,
}
MODELS = UNSUPERVISED | SUPERVISED


@pytest.mark.parametrize("name", MODELS)
def test_what_was_learnt_survives_dump_and_load(name):
    model = MODELS[name]()
    for _ in range(1 if "river's half" in name else 30):
        model = model.learn_many(COLUMNS, LABELS)
    again = load_model(model.dump(), "own", model.kind)
    assert (again.score_many(COLUMNS) == model.score_many(COLUMNS)).all()
    assert again.dump() == model.dump()
    scores = model.score_many(COLUMNS)
    assert np.median(scores[LABELS > 0]) > np.quantile(scores[LABELS == 0], 0.8)
    more = [one.learn_many(COLUMNS[:50], LABELS[:50]).dump() for one in (model, again)]
    assert more[0] == more[1]


@pytest.mark.parametrize("name", MODELS)
def test_learning_the_same_twice_gives_the_same_bytes(name):
    model = MODELS[name]()
    first = model.learn_many(COLUMNS, LABELS).dump()
    assert model.learn_many(COLUMNS, LABELS).dump() == first == MODELS[name]().learn_many(COLUMNS, LABELS).dump()


@pytest.mark.parametrize("name", MODELS)
def test_damaged_or_foreign_bytes_are_refused(name):
    model = MODELS[name]()
    blob = model.learn_many(COLUMNS, LABELS).dump()
    with pytest.raises(ArtefactError, match="damaged"):
        model.load(blob[:-1])
    with pytest.raises(ArtefactError, match="damaged"):
        model.load(blob[:100] + bytes([blob[100] ^ 1]) + blob[101:])
    with pytest.raises(ArtefactError, match="not a"):
        model.load(dump_artefact("other", {}, {}))


def test_objects_are_no_arrays():
    with pytest.raises(ArtefactError, match="object"):
        load_artefact("x", dump_artefact("x", {}, {"a": np.array([None])}))


@pytest.mark.parametrize("name", UNSUPERVISED)
def test_a_lesson_may_be_taken_in_parts(name):
    model = UNSUPERVISED[name]().learn_many(COLUMNS)
    parts = [model.training_batch(COLUMNS[:700]), model.training_batch(COLUMNS[700:])]
    assert model.fitted_to(model.joined(*parts)).dump() == model.fitted_to(model.training_batch(COLUMNS)).dump()


@pytest.mark.parametrize("name", ["tails", "half-space trees"])
def test_the_order_of_lines_makes_no_difference_to_what_is_counted(name):
    model = UNSUPERVISED[name]().learn_many(COLUMNS)
    order = RANDOM.permutation(len(COLUMNS))
    assert model.learn_many(COLUMNS[order]).dump() == model.learn_many(COLUMNS).dump()


def test_half_space_trees_divide_and_count_as_a_walk_does():
    model = HalfSpaceTrees.grown(CHOSEN, DAY, trees=3, height=4).learn_many(COLUMNS)
    counted = model.learn_many(COLUMNS).arrays["mass"] - model.arrays["mass"]
    split, at, ranges = model.arrays["split"], model.arrays["at"], model.ranges
    masses, scores = np.zeros((3, 31)), []
    for line in COLUMNS:
        place, ends = ranges.scaled(line[None, CHOSEN])[0], []
        for tree in range(3):
            node, path = 0, [0]
            for _ in range(4):
                node = 2 * node + 1 + int(place[split[tree, node]] >= at[tree, node])
                path.append(node)
            masses[tree, path] += 1
            share = [model.arrays["mass"][tree, node] / model.arrays["mass"][tree, 0] for node in path]
            depth = next((depth for depth in range(5) if share[depth] <= 0.1), 4)
            ends.append(share[depth] * 2**depth)
        scores.append(4 * np.log(2) - np.log(np.mean(ends) + 1e-6))
    assert (counted == masses).all()
    np.testing.assert_allclose(model.score_many(COLUMNS), scores)


def test_river_scores_as_river_does():
    model = RiverHalfSpaceTrees.grown(np.arange(3), trees=5, height=4, window=100)
    model = model.learn_many(COLUMNS[:50]).learn_many(COLUMNS[50:400])
    plain = anomaly.HalfSpaceTrees(n_trees=5, height=4, window_size=100, seed=1)
    plain.learn_one(dict.fromkeys(range(3), 0.5))
    for nodes in plain._tree_nodes:
        for node in nodes:
            node.l_mass = 0
    plain.counter = 0
    seen = np.empty((0, 3), np.float32)
    for part in (COLUMNS[:50], COLUMNS[50:400]):
        seen = np.concatenate([seen, part])
        low, high = np.nanmin(np.arcsinh(seen.astype(float)), 0), np.nanmax(np.arcsinh(seen.astype(float)), 0)
        for line in part.astype(float):
            scaled = (np.arcsinh(line) - low) / (high - low)
            plain.learn_one({n: value for n, value in enumerate(scaled) if not np.isnan(value)})
    asked = np.clip((np.arcsinh(COLUMNS[400:420].astype(float)) - low) / (high - low), 0, 1)
    rows = [{n: value for n, value in enumerate(line) if not np.isnan(value)} for line in asked]
    told = [-np.log(max(1 - plain.score_one(row), 1e-9)) for row in rows]
    np.testing.assert_allclose(model.score_many(COLUMNS[400:420]), told, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unsupervised: tail", "unsupervised: 'tail' is not one of tails, half_space_trees"),
        ("half_space: {height: 40}", "half_space: trees and window must be 1 or more"),
        ("boosting: {depths: 3}", "boosting.depths: unknown key, did you mean depth"),
        ("reservoir: {keep: 0d}", "reservoir: per_hour, keep"),
        ("half_life: 0", "half_life: must be above 0"),
    ],
)
def test_wrong_models_are_one_line(text, message):
    with pytest.raises(ValueError, match=message) as told:
        parse_models(text, "models.yaml")
    assert str(told.value).startswith("models.yaml: ")


def test_a_checkpoint_of_other_models_is_refused_with_both_names():
    said = "online model of the checkpoint is logistic, --models asks for river_logistic"
    with pytest.raises(ArtefactError, match=said):
        load_model(OnlineLogistic(3).dump(), "online", "river_logistic")


def test_boosting_settings_reach_the_trees():
    small = parse_models("boosting: {rounds: 3, depth: 1, gain: 0}").boosting
    raw = [len(BoostedTrees(how).learn_many(COLUMNS, LABELS).raw) for how in (small, Boosting())]
    assert raw[0] < raw[1]
    assert Models().boosting == Boosting()


def test_what_has_become_common_is_no_surprise():
    usual = np.zeros((20_000, 1), np.float32)
    model = EcodScores(np.array([0]), 14 * DAY).learn_many(usual)
    odd = np.full((1_000, 1), 5.0, np.float32)
    before = model.score_many(odd[:1])[0]
    after = model.aged(10 * DAY).learn_many(odd).score_many(odd[:1])[0]
    assert before > 5
    assert after < 0.1


def test_calibration_makes_odds_true():
    truth = RANDOM.normal(-2, 2, 200_000)
    labels = (RANDOM.random(truth.size) < 1 / (1 + np.exp(-truth))).astype(float)
    found = ScoreHistogram().plus((truth - 1) / 2, labels, np.ones(truth.size)).calibration
    assert found
    slope, shift = found
    assert ScoreHistogram().calibration is None
    assert slope == pytest.approx(2, abs=0.05)
    assert shift == pytest.approx(1, abs=0.05)


def test_average_precision_of_a_case_by_hand():
    histogram = ScoreHistogram().plus(np.array([3.0, 2.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4))
    assert histogram.average_precision() == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert ScoreHistogram().average_precision() is None


def test_drift_is_found_where_the_mean_moves_and_not_elsewhere():
    quiet, moved = Drift(), Drift()
    for value in RANDOM.normal(0, 1, 1_000):
        quiet = quiet.plus(value)
    for value in np.concatenate([RANDOM.normal(0, 1, 200), RANDOM.normal(3, 1, 100)]):
        moved = moved.plus(value)
    assert quiet.found <= 1
    assert moved.found >= 1
    assert moved.values.mean() > 2
