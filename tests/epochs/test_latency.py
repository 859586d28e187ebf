"""Event to commit: quantiles within their bound, whatever came between plan and commit."""

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.latency import MEASURED_SCHEMA, add_ages, ages, measure, measured
from ecompulse.kernels.event import TIME

NOW = 1_700_000_000_000


def events(of_ages):
    return pl.DataFrame({"event_time": pl.Series([NOW - age for age in of_ages], dtype=pl.Int64).cast(TIME)})


@given(
    st.lists(st.integers(-300_000, 90_000_000_000), min_size=1, max_size=60),
    st.integers(0, 600_000),
    st.integers(1, 4),
)
def test_quantiles_are_within_the_stated_bound_of_the_exact_ones(of_ages, later, parts):
    counts: dict[str, int] = {}
    for n in range(parts):
        add_ages(counts, ages(events(of_ages[n::parts]), NOW))
    found = measure(counts, NOW, NOW + later)
    ordered = sorted(age + later for age in of_ages)
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        exact = ordered[max(math.ceil(percent * len(ordered) / 100), 1) - 1]
        told = found["latencyMs"][name]
        assert abs(told["ms"] - exact) <= told["errorMs"] + 1
        assert told["errorMs"] <= abs(exact - later) * 0.0103 + 1  # of the far end of a bucket
    assert found["eventsPerSecond"] == round(len(of_ages) / (max(later, 1) / 1000), 1)


def test_a_measurement_as_rows():
    found = measured(measure(ages(events([10, 20]), NOW), NOW, NOW + 1000))
    assert found.schema == MEASURED_SCHEMA
    assert found.select("measure", "statistic", pl.col("value").cast(pl.Float64)).rows() == [
        ("event_latency_ms", "p50", 1010.0),
        ("event_latency_ms", "p95", 1020.0),
        ("event_latency_ms", "p99", 1020.0),
        ("event_latency_ms", "max", 1020.0),
        ("events_per_second", None, 2.0),
    ]
    assert found["since"].dt.epoch("ms").unique().to_list() == [NOW]


def test_without_events_nothing_is_measured():
    assert measure({}, NOW, NOW + 5) == {}
    assert measured({}).is_empty()
