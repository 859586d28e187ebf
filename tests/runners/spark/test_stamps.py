"""Stamps: what fits passes, everything else is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.runners.spark.stamps import Recomputed, Stamped, new_stamp, sums_of

NUMBERS = st.integers(0, 2**64 - 1)


def stage(number: int, tasks: int, sums=None) -> list[Stamped]:
    return [Stamped(number, part, new_stamp(), sums or {}) for part in range(tasks)]


@given(st.permutations(stage(1, 5)))
def test_the_order_of_arrival_is_nothing(records):
    expected = sum(record.stamp for record in records) % 2**64
    assert sums_of(records, {1: 5}) == {1: expected}


def test_nothing_before_is_nothing_to_check():
    assert sums_of([], {}) == {}


@given(NUMBERS, NUMBERS)
def test_two_attempts_of_one_task_are_told_where_their_readers_meet(first, second):
    """Task 0 of stage 1 was run twice; task 0 of stage 2 read the one, task 1 the other."""
    before = {0: {1: first}, 1: {1: second}}
    records = [Stamped(2, part, new_stamp(), sums) for part, sums in before.items()]
    if first == second:
        assert sums_of(records, {2: 2})[1] == first
    else:
        with pytest.raises(Recomputed, match="stage 1"):
            sums_of(records, {2: 2})


def test_two_ways_from_one_stage_must_have_read_the_same():
    """Stages 2 and 3 read stage 1; stage 4 reads both."""
    left, right = stage(2, 2, {1: 7}), stage(3, 2, {1: 8})
    with pytest.raises(Recomputed, match="stage 1"):
        sums_of([*left, *right], {2: 2, 3: 2})


def test_a_parent_that_is_an_ancestor_too_must_be_the_same():
    """Stage 3 reads 1 and 2; 2 has read 1 as well."""
    first = stage(1, 2)
    seen = sum(record.stamp for record in first) % 2**64
    assert set(sums_of([*first, *stage(2, 2, {1: seen})], {1: 2, 2: 2})) == {1, 2}
    with pytest.raises(Recomputed, match="stage 1"):
        sums_of([*first, *stage(2, 2, {1: seen ^ 1})], {1: 2, 2: 2})


@pytest.mark.parametrize("missing", range(3))
def test_an_output_that_never_arrived_is_told(missing):
    records = stage(1, 3)
    del records[missing]
    with pytest.raises(Recomputed, match="2 of 3"):
        sums_of(records, {1: 3})


def test_an_output_that_arrived_twice_is_told():
    records = stage(1, 2)
    with pytest.raises(Recomputed, match="twice"):
        sums_of([*records, records[0]._replace(stamp=5)], {1: 2})
