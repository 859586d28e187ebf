"""Decisions: never more alerts a day than the budget, one per card and visitor, the same for any cut."""

import itertools

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ecompulse.kernels.fraud.budget import FLAGGED, Budget
from ecompulse.kernels.fraud.entity import standard_features
from ecompulse.kernels.fraud.rules import parse_policy
from support.examples import examples

ROW = st.fixed_dictionaries(
    {
        "day": st.integers(0, 3),
        "score": st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        "card": st.sampled_from(["c1", "c2", "c3", "c4", None]),
        "visitor": st.sampled_from(["v1", "v2", "v3", "v4"]),
        "rule": st.sampled_from([None, None, None, "large"]),
        "allowed": st.sampled_from([False, False, True]),
        "denied": st.sampled_from([False, False, True]),
    }
)
SCHEMA = {"day": pl.Int64, "score": pl.Float64, "card": pl.String, "visitor": pl.String, "rule": pl.String}


def frame(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={**SCHEMA, "allowed": pl.Boolean, "denied": pl.Boolean}).sort("day")


def expected(rows: pl.DataFrame, per_day: int, threshold: dict[int, float]) -> list[str]:
    told, alerts, seen = [], dict.fromkeys(range(4), 0), {day: set() for day in range(4)}
    for row in rows.to_dicts():
        day = row["day"]
        wanted = "flag" if row["score"] >= threshold[day] else "pass"
        wanted = "rule" if row["rule"] else wanted
        wanted = "deny" if row["denied"] else wanted
        wanted = "allow" if row["allowed"] else wanted
        if wanted in FLAGGED and alerts[day] >= per_day:
            wanted = "over_budget"
        elif wanted in FLAGGED:
            ids = {("c", row["card"])} - {("c", None)} | {("v", row["visitor"])}
            again = seen[day] & ids
            seen[day] |= ids
            alerts[day] += not again
            wanted = "suppressed" if again else wanted
        told.append(wanted)
    return told


@examples(80)
@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 4), st.lists(st.integers(0, 30), max_size=4))
def test_decisions_are_what_a_walk_says_for_any_cut(rows, per_day, cuts):
    batch = frame(rows)
    whole, _ = Budget(per_day, {}).decided(batch)
    bounds = sorted({0, batch.height, *(cut for cut in cuts if cut < batch.height)})
    budget, parts = Budget(per_day, {}), []
    for start, stop in itertools.pairwise(bounds):
        part, budget = budget.decided(batch[start:stop])
        parts.append(part)
        budget = Budget.load(per_day, budget.dump())
    assert_frame_equal(pl.concat(parts), whole)
    thresholds = dict(whole.select("day", "threshold").rows())
    assert whole["decision"].to_list() == expected(batch, per_day, thresholds)
    counts = whole.filter(pl.col("decision").is_in(FLAGGED)).group_by("day").len()["len"]
    assert (counts <= per_day).all()


def test_the_threshold_follows_the_days_before():
    scores = [{"day": 0, "score": score / 10, "visitor": f"v{score}"} for score in range(10)]
    rows = frame([*scores, {"day": 1, "score": 0.1, "visitor": "v"}])
    rows = rows.with_columns(pl.col("allowed", "denied").fill_null(value=False))
    found, _ = Budget(3, {}).decided(rows)
    assert found["threshold"].unique(maintain_order=True).to_list() == [0.5, 0.7]


def test_rules_and_lists_are_read():
    features = standard_features()
    policy = parse_policy("{rules: {velocity: {card_count_1h: {above: 3}}}, deny: {card_id: [c9]}}")
    names = list(features.names)
    place = names.index("card_count_1h")
    vectors = [[float("nan") if n != place else value for n in range(len(names))] for value in (3.0, 4.0, float("nan"))]
    rows = pl.DataFrame({"card_id": ["c1", "c2", "c9"]}).with_columns(
        vector=pl.Series(vectors, dtype=pl.Array(pl.Float32, len(names)))
    )
    found = policy.applied(rows, names)
    assert found["rule"].to_list() == [None, "velocity", None]
    assert found["denied"].to_list() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: {a: {card_count_1x: {above: 1}}}", "did you mean card_count_1"),
        ("deny: {card: [a]}", "deny.card"),
        ("rules: {a: {amount: {over: 1}}}", "unknown key"),
        ("rules: {a: {amount: {}}}", "rules.a.amount: wants a number above, below, or both"),
        ("rules: {a: {amount: {below: .nan}}}", "rules.a.amount: wants a number"),
        ("rules: {a: {}}", "rules.a: wants a feature"),
    ],
)
def test_a_wrong_policy_is_one_line(text, message):
    with pytest.raises(ValueError, match=message):
        parse_policy(text).check(standard_features())
