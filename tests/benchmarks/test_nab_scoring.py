import math

import numpy as np
import pytest

from benchmarks.nab_scoring import LOW_FN, LOW_FP, STANDARD, File, positions, probation, score_corpus, sigma

ROWS = 20
WINDOW = (8, 12)


def detected(*rows: int, size: int = ROWS) -> File:
    scores = np.zeros(size)
    scores[list(rows)] = 1.0
    return File(scores, [WINDOW])


def scored(file: File, profile=STANDARD) -> float:
    return score_corpus([file], profile, threshold=1.0).score


def by_hand(y: float) -> float:
    return 2 / (1 + math.exp(5 * y)) - 1


def test_sigma_is_the_papers() -> None:
    assert sigma(np.array([-1.0, -0.5, 0.0, 1.0, 3.0, 9.0])) == pytest.approx(
        [0.98661, 0.84828, 0, -0.98661, -1, -1], abs=1e-5
    )


def test_positions_within_and_behind_windows() -> None:
    place, member = positions(12, [(2, 4), (7, 8)])
    third = 1 / 3
    assert place == pytest.approx([3, 3, -1, -2 * third, -third, 0.5, 1, -1, -0.5, 1, 2, 3])
    assert member.tolist() == [-1, -1, 0, 0, 0, -1, -1, 1, 1, -1, -1, -1]


def test_a_window_of_one_row() -> None:
    place, member = positions(4, [(1, 1)])
    assert place.tolist() == [3, -1, 1, 2]
    assert member.tolist() == [-1, 0, -1, -1]


def test_probation_is_a_share_of_the_file_up_to_a_limit() -> None:
    assert [probation(rows) for rows in (20, 19, 4000, 5000, 20_000)] == [3, 2, 600, 750, 750]


def test_perfection_is_a_hundred_and_silence_nothing() -> None:
    assert scored(detected(8)) == pytest.approx(100)
    silent = score_corpus([File(np.zeros(ROWS), [WINDOW])], STANDARD, threshold=1.0)
    assert (silent.score, silent.found, silent.false, silent.precision) == (0, 0, 0, 1)


def test_a_late_detection_is_worth_less() -> None:
    # The last row of five: y = -1/5; gained 0.4684 where 1 was to be had, and -1 for nothing found.
    gain = by_hand(-0.2) / by_hand(-1)
    assert gain == pytest.approx(0.46839, abs=1e-5)
    assert scored(detected(12)) == pytest.approx(100 * (gain + 1) / 2)
    assert scored(detected(12)) == pytest.approx(73.41934, abs=1e-4)


def test_only_the_earliest_detection_of_a_window_counts() -> None:
    assert scored(detected(9, 10, 12)) == scored(detected(9))


def test_a_false_detection_ahead_of_all_windows_costs_its_whole_weight() -> None:
    assert scored(detected(5, 8)) == pytest.approx(100 * (1 - 0.11 + 1) / 2)
    assert scored(detected(5, 8), LOW_FP) == pytest.approx(100 * (1 - 0.22 + 1) / 2)


def test_a_false_detection_just_behind_a_window_costs_less() -> None:
    # One row behind a window of five: y = 1/4, sigma -0.5546.
    assert by_hand(0.25) == pytest.approx(-0.5546, abs=1e-4)
    assert scored(detected(8, 13)) == pytest.approx(100 * (1 + 0.11 * by_hand(0.25) + 1) / 2)


def test_missing_costs_double_where_that_is_the_profile() -> None:
    # Nothing found and one false: -2 - 0.11 against -2 for silence and 1 for perfection.
    assert scored(detected(5), LOW_FN) == pytest.approx(100 * -0.11 / 3)


def test_probation_counts_neither_way() -> None:
    assert scored(detected(0, 1, 2, 8)) == pytest.approx(100)
    early = File(np.ones(ROWS), [(0, 2)])
    assert score_corpus([early], STANDARD).windows == 0


def test_one_threshold_serves_all_files() -> None:
    good, loud = np.zeros(ROWS), np.zeros(ROWS)
    good[8], loud[[4, 5, 6]] = 0.6, 0.5
    files = [File(good, [WINDOW]), File(loud, [])]
    best = score_corpus(files, STANDARD)
    assert (best.score, best.threshold, best.found, best.false) == (100, 0.6, 1, 0)
    assert score_corpus(files, STANDARD, threshold=0.5).score == pytest.approx(100 * (1 - 0.33 + 1) / 2)
    assert score_corpus(files, STANDARD, threshold=0.55).score == 100


def test_rows_of_equal_score_stand_or_fall_together() -> None:
    # The window's row cannot be had without ten false ones that cost more than it brings.
    scores = np.zeros(40)
    scores[10:30] = 0.7
    result = score_corpus([File(scores, [(36, 38)]), File(np.zeros(ROWS), [WINDOW])], STANDARD)
    assert result.score == 0
    assert math.isinf(result.threshold)


def test_precision_counts_a_window_once() -> None:
    result = score_corpus([detected(5, 8, 9, 10)], STANDARD, threshold=1.0)
    assert (result.precision, result.recall) == (0.5, 1)
