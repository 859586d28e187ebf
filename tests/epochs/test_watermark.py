import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.watermark import Seen, WatermarkPolicy, shares

POLICY = WatermarkPolicy(delay=10, idle_after=100)


def test_the_partition_furthest_behind_holds():
    seen = {"0/0": Seen(500, 0), "1/0": Seen(300, 0)}
    assert POLICY.next(None, seen, (), now=0) == 290


def test_a_partition_that_has_not_begun_holds():
    seen = {"0/0": Seen(500, 0), "1/0": Seen(None, 0)}
    assert POLICY.next(None, seen, (), now=0) is None
    assert POLICY.next(100, seen, (), now=0) == 100


def test_an_idle_partition_stops_holding_only_when_read_to_its_end_and_silent():
    seen = {"0/0": Seen(500, 1000), "1/0": Seen(300, 0)}
    assert POLICY.next(None, seen, ("1/0",), now=99) == 290
    assert POLICY.next(None, seen, ("1/0",), now=100) == 490
    assert POLICY.next(None, seen, (), now=10_000) == 290, "not read to its end: still holds"


def test_all_idle_stays_unless_told_to_advance():
    seen = {"0/0": Seen(500, 0)}
    assert POLICY.next(200, seen, ("0/0",), now=5000) == 200
    advancing = WatermarkPolicy(delay=10, idle_after=100, idle_advance=True)
    assert advancing.next(200, seen, ("0/0",), now=5000) == 4890


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000), st.integers(0, 500)), max_size=30),
    st.integers(0, 50),
)
def test_it_never_goes_back(rows, delay):
    policy, watermark, seen = WatermarkPolicy(delay, 100), None, {}
    for now, (partition, time, silence) in enumerate(rows):
        name = str(partition)
        seen[name] = Seen(max(time, (seen[name].top if name in seen else None) or 0), now - silence)
        after = policy.next(watermark, seen, set(list(seen)[:1]), now)
        assert watermark is None or (after is not None and after >= watermark)
        watermark = after


@given(
    st.dictionaries(st.integers(0, 5), st.none() | st.integers(0, 10**13), min_size=1),
    st.integers(1, 10**6),
)
def test_every_source_gets_a_share_and_the_furthest_behind_most(tops, budget):
    parts = shares(tops, budget)
    assert set(parts) == set(tops)
    assert min(parts.values()) >= 1
    behind = min(tops, key=lambda source: (tops[source] is not None, tops[source] or 0, source))
    assert parts[behind] == max(parts.values())
    if budget >= 100:
        assert sum(parts.values()) <= budget


def test_shares_of_one_source_are_the_whole_budget():
    assert shares({0: None}, 1000) == {0: 1000}
    assert shares({0: 5}, 1000) == {0: 1000}


@pytest.mark.parametrize("current", [None, 5])
def test_no_partition_at_all_keeps_what_there_is(current):
    assert POLICY.next(current, {}, (), now=0) == current
