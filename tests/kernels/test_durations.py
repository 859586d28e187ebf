"""One grammar of durations, wherever one is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.cli.values import duration
from ecompulse.kernels.durations import duration_text, parse_duration
from ecompulse.kernels.enrich.enrichment import parse_enrich
from ecompulse.kernels.enrich.lookup import UserStep
from ecompulse.kernels.fraud.buckets import parse_window
from ecompulse.kernels.metrics.definition import parse_metrics
from ecompulse.simulator.settings import milliseconds

SAME = ["1500ms", "1.5s", "1.5 s", "90s", "10 m", "1.5h", "2d"]


def by_yaml(text: str) -> int:
    return parse_enrich(f"steps: {{user: {{deadline: '{text}'}}}}").step(UserStep).deadline


def by_metric(text: str) -> int:
    return parse_metrics(f"metrics: {{a: {{measure: count, windows: [tumbling 1m], lag: '{text}'}}}}").metrics["a"].lag


@pytest.mark.parametrize("text", SAME)
def test_a_duration_means_the_same_everywhere(text):
    ms = parse_duration(text)
    assert {read(text) for read in (duration, by_yaml, by_metric, milliseconds)} == {ms}
    assert parse_window(text).length == ms


@pytest.mark.parametrize("text", ["", "10", "1w", "-1s", "1s2m", "1.s", ".5s", "1e3s", "0.5ms", "0.0001s", "\u0661s"])
def test_what_is_none_is_refused_everywhere(text):
    for read in (parse_duration, duration, by_yaml, by_metric, milliseconds, parse_window):
        with pytest.raises(ValueError, match=r"is no duration; write|finer than a millisecond"):
            read(text)


@pytest.mark.parametrize("text", ["36501d", "876001h", "100000000d"])
def test_what_is_longer_than_a_hundred_years_is_refused_everywhere(text):
    assert parse_duration("36500d") == 36_500 * 86_400_000
    for read in (parse_duration, duration, by_yaml, by_metric, milliseconds, parse_window):
        with pytest.raises(ValueError, match="is longer than 100 years"):
            read(text)


def test_a_window_of_features_says_why_it_is_too_short():
    with pytest.raises(ValueError, match="'500ms' is too short: a window of history has a second or more"):
        parse_window("500ms")


@given(st.integers(0, 10**12))
def test_the_text_of_a_duration_is_read_as_it(ms):
    assert parse_duration(duration_text(ms)) == ms
