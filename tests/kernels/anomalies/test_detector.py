import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecompulse.kernels.anomalies.detector import Usual, adapt, expected, observe
from ecompulse.kernels.anomalies.memory import LEVEL_POINTS, RECORD, UnreadableMemoryError, dump, fresh, load
from ecompulse.kernels.anomalies.surprise import bins_of, greater, reach, smaller, through
from support.anomaly_oracle import Distances, OneSeries
from support.examples import examples

MINUTE = 60_000
START = 1_735_689_600_000  # midnight


def run(columns, times):
    """Scores and news of series side by side; a shorter one ends earlier."""
    columns = sorted(columns, key=len, reverse=True)
    memory, found = fresh(len(columns)), [[] for _ in columns]
    for row in range(len(columns[0])):
        live = [column for column in columns if len(column) > row]
        values = np.array([column[row] for column in live])
        going = memory[: len(live)]
        judged = observe(going, np.full(len(live), times[row]), values, Usual.of(going))
        for one, score, news in zip(found, judged.score, judged.news, strict=False):
            one.append((float(score), bool(news)))
    return columns, found, memory


def interval(memory, time):
    return expected(memory, np.full(len(memory), time), Usual.of(memory))


def shaped(draw, size):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "daily", "counts", "steps", "still"]))
    at = np.arange(size)
    series = {
        "noise": lambda: rng.normal(100, 10, size),
        "daily": lambda: 50 + 30 * np.sin(at / 24) + rng.normal(0, 2, size),
        "counts": lambda: rng.poisson(0.4, size).astype(float),
        "steps": lambda: np.repeat(rng.integers(-5, 5, size // 20 + 1), 20)[:size].astype(float),
        "still": lambda: np.full(size, 7.25),
    }[kind]()
    odd = draw(st.lists(st.integers(0, size - 1), max_size=3))
    series[odd] += 1000.0
    return series.tolist()


@st.composite
def several(draw):
    sizes = draw(st.lists(st.integers(2, 260), min_size=1, max_size=3))
    step = draw(st.sampled_from([5, 15, 30, 60]))
    gaps = np.cumsum(np.random.default_rng(draw(st.integers(0, 99))).choice([1, 1, 1, 1, 2, 40], max(sizes)))
    return [shaped(draw, size) for size in sizes], (START + gaps * step * MINUTE).tolist()


@examples(25)
@given(several())
@example(([[0.0] * 50], list(range(START, START + 50 * MINUTE, MINUTE))))
def test_equals_plain_python_one_point_at_a_time(case):
    columns, times = case
    columns, found, _ = run(columns, times)
    for column, said in zip(columns, found, strict=True):
        one = OneSeries()
        for row, value in enumerate(column):
            score, news = one.observe(times[row], value)
            assert said[row][0] == pytest.approx(score, abs=1e-6), row
            if abs(score - max(one.scores[max(0, row - 75) : row], default=0) - 0.4) > 1e-6:
                assert said[row][1] == news, row


@pytest.mark.slow
def test_a_long_series_equals_plain_python_too():
    rng = np.random.default_rng(4)
    times = [START + row * 10 * MINUTE for row in range(900)]
    values = (100 + 40 * np.sin(np.arange(900) / 23) + rng.normal(0, 5, 900)).tolist()
    values[700:712] = [10.0] * 12
    _, found, _ = run([values], times)
    one = OneSeries()
    wanted = [one.observe(time, value) for time, value in zip(times, values, strict=True)]
    assert [score for score, _ in found[0]] == pytest.approx([score for score, _ in wanted], abs=1e-6)
    assert [news for _, news in found[0]] == [news for _, news in wanted]


@pytest.mark.slow
def test_a_series_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(1)
    times = [START + row * 5 * MINUTE for row in range(400)]
    columns = [rng.normal(100, 10, 400).tolist() for _ in range(9)]
    together = run(columns, times)[1]
    assert [run([column], times)[1][0] for column in columns] == together


def test_memory_is_small_and_comes_back_as_it_was():
    assert RECORD.itemsize < 64 * 1024
    _, _, memory = run([np.arange(500.0).tolist(), [1.0, 2.0]], [START + row * MINUTE for row in range(500)])
    assert load(dump(memory)).tobytes() == memory.tobytes()
    assert not RECORD.hasobject


def test_foreign_bytes_are_refused():
    with pytest.raises(UnreadableMemoryError, match="another checkpoint"):
        load([b"abc"])


@given(st.lists(st.one_of(st.just(0.0), st.floats(2**-19, 2**40)), min_size=1, max_size=40), st.floats(2**-19, 2**40))
def test_ranks_equal_counting(past, distance):
    known = Distances()
    seen = np.zeros((1, 512), np.uint32)
    for one in past:
        known.add(one)
        seen[0, bins_of(np.array([one]))] += 1
    one = np.array([distance])
    counts, at = through(seen), bins_of(one)
    assert greater(counts, np.array([known.greatest]), one, at)[0] == pytest.approx(known.at_least(distance), abs=1e-6)
    assert smaller(counts, at)[0] == pytest.approx(known.at_most(distance), abs=1e-6)


def test_reach_is_exceeded_by_no_more_than_its_share():
    rng = np.random.default_rng(3)
    past = rng.exponential(50, 5000)
    seen = np.zeros((1, 512), np.uint32)
    np.add.at(seen[0], bins_of(past), 1)
    edge = reach(through(seen), 0.005)[0]
    assert (past > edge).mean() <= 0.005
    assert (past > edge * 0.8).mean() > 0.005
    assert reach(np.zeros((1, 512), np.uint32), 0.005)[0] == 0


def test_the_interval_follows_the_time_of_day():
    rng = np.random.default_rng(2)
    at = np.arange(6 * 288)
    values = 100 + 50 * np.sin(at / 288 * 2 * np.pi) + rng.normal(0, 3, len(at))
    _, _, memory = run([values.tolist()], (START + at * 5 * MINUTE).tolist())
    morning, evening = (START + 6 * 86_400_000 + hour * 60 * MINUTE for hour in (6, 18))
    (low, high), (other_low, other_high) = (interval(memory, time) for time in (morning, evening))
    assert 110 < low[0] < 150 < high[0] < 190
    assert 10 < other_low[0] < 50 < other_high[0] < 90


def test_after_adapting_only_the_last_points_are_the_level():
    values = [10.0] * 350 + [50.0] * 20
    _, _, memory = run([values], [START + row * MINUTE for row in range(370)])
    adapt(memory, np.array([20]))
    assert memory["held"][0] == 20
    low, high = interval(memory, START + 370 * MINUTE)
    assert (low[0] + high[0]) / 2 == 50
    assert LEVEL_POINTS == 300
