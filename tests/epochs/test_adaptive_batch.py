"""How many rows an epoch may have: bounded, steady, and near the target for any engine whose cost is a line."""

from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.adaptive_batch import FIRST_ROWS, LEAST_ROWS, MOST_ROWS, TARGET_MS, next_limit

LIMITS = st.integers(LEAST_ROWS, MOST_ROWS)


@given(LIMITS, st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_limit_stays_in_bounds_and_moves_by_two_at_most(limit, rows, run_ms):
    after = next_limit(limit, rows, run_ms)
    assert LEAST_ROWS <= after <= MOST_ROWS
    assert limit / 2 - 1 <= after <= limit * 2


@given(LIMITS, st.data())
def test_a_trickle_changes_nothing_however_little_it_has(limit, data):
    rows = data.draw(st.integers(0, limit - 1))
    run_ms = data.draw(st.integers(0, TARGET_MS))
    assert next_limit(limit, rows, run_ms) == limit


@given(LIMITS, st.integers(TARGET_MS + 1, 10**7), st.data())
def test_a_slow_epoch_never_raises_it_and_a_quick_full_one_never_lowers_it(limit, slow_ms, data):
    assert next_limit(limit, data.draw(st.integers(1, 2 * limit)), slow_ms) <= limit
    assert next_limit(limit, limit, data.draw(st.integers(1, TARGET_MS))) >= limit


@given(st.floats(50, 3000), st.floats(1 / 200, 2))
def test_under_a_backlog_epochs_come_to_take_the_target_or_the_most_that_is_allowed(fixed_ms, ms_per_row):
    limit = FIRST_ROWS
    for _ in range(40):
        limit = next_limit(limit, limit, round(fixed_ms + limit * ms_per_row))
    settled = fixed_ms + limit * ms_per_row
    assert next_limit(limit, limit, round(settled)) >= 0.9 * limit, "it has settled"
    if limit == MOST_ROWS:
        assert settled <= 1.1 * TARGET_MS
    elif limit == LEAST_ROWS:
        assert settled >= 0.9 * TARGET_MS
    else:
        assert 0.7 * TARGET_MS <= settled <= 1.3 * TARGET_MS
