"""Incidents of the kernel: once each, and the same however the stream is cut."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.alerts.matching import SEPARATOR
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.matching import POINT_SCHEMA, read_points
from ecompulse.kernels.anomalies.readings import to_points
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.anomaly_points import MINUTE, START, noise, points, run
from support.examples import examples
from support.metric_runs import Shards

KERNEL = DetectAnomalies()


def incidents(alerts):
    return alerts.select("metric", "kind", "state").rows()


def spiked(*, seed=1):
    values = noise(1200, seed=seed)
    values[900:906] = 300.0
    return values


def test_an_incident_fires_once_and_recovers_once():
    alerts = run(points("revenue", spiked()))
    firing = alerts.filter(state="firing", severity="critical")
    assert firing.height == 1
    row = firing.row(0, named=True)
    assert row["window_end"] == row["since"] == datetime.fromtimestamp((START + 900 * 5 * MINUTE) / 1000, UTC)
    assert row["value"] == Decimal("300.000000")
    assert row["expected_low"] < 100 < row["expected_high"] < 130
    assert row["score"] > 6
    ended = alerts.filter(state="recovered", incident_id=row["incident_id"])
    assert ended.height == 1
    assert ended["window_end"][0] > row["window_end"]
    assert alerts["id"].n_unique() == alerts.height


def test_an_ordinary_series_is_quiet():
    fired = run(points("revenue", noise(2000, seed=5))).filter(state="firing")
    assert fired.height <= 3  # in a week


def test_nothing_fires_on_the_first_day():
    values = noise(280)
    values[250] = 10_000.0
    assert run(points("revenue", values)).is_empty()


@pytest.mark.slow
def test_a_new_level_is_one_change_and_then_usual():
    values = np.concatenate([noise(1200), noise(900, seed=2, mean=160.0)])
    kernel = DetectAnomalies(settle_after=60 * MINUTE)
    alerts = run(points("orders", values), kernel=kernel).filter(
        pl.col("since").dt.epoch("ms") >= START + 1200 * 5 * MINUTE
    )
    assert incidents(alerts.sort("window_end", "state", "kind"))[:4] == [
        ("orders", "point", "firing"),
        ("orders", "change", "firing"),
        ("orders", "point", "recovered"),
        ("orders", "change", "recovered"),
    ]
    assert alerts.filter(kind="change").height == 2
    after = alerts.filter(kind="change", state="recovered").row(0, named=True)
    assert 150 < (after["expected_low"] + after["expected_high"]) / 2 < 170


def test_silence_fires_when_a_later_window_shows_it():
    alerts = run(points("orders", noise(1000), skip=range(700, 720))).filter(kind="silence")
    last = START + 699 * 5 * MINUTE
    assert alerts.select("state", pl.col("since", "window_end").dt.epoch("ms")).rows() == [
        ("firing", last, last + 30 * MINUTE),
        ("recovered", last, START + 720 * 5 * MINUTE),
    ]
    assert alerts["value"].null_count() == 2


def test_silence_fires_by_the_watermark_alone():
    frame = points("orders", noise(700))
    last = START + 699 * 5 * MINUTE
    due = last + KERNEL.silence_after + KERNEL.arrival + 1
    assert run(frame, ending=due - 1).filter(kind="silence").is_empty()
    assert incidents(run(frame, ending=due).filter(kind="silence")) == [("orders", "silence", "firing")]
    assert run(frame, ending=END_OF_TIME).filter(kind="silence").is_empty()  # the end of a bounded input is no silence


@pytest.mark.slow
def test_silence_by_watermark_and_by_window_are_the_same_alerts():
    quiet, other = points("orders", noise(1000), skip=range(500, 600)), points("views", noise(1000, seed=9))
    frame = pl.concat([quiet, other])
    assert run(frame, range(50, 1800, 150)).equals(run(frame))


def test_a_series_with_long_gaps_is_given_time():
    night = [at for at in range(2400) if at % 288 < 100]
    alerts = run(points("orders", noise(2400), skip=night)).filter(kind="silence")
    assert alerts.filter(state="firing").height <= 1


@pytest.mark.slow
def test_a_late_revision_is_not_judged():
    frame = points("revenue", spiked())
    wrong = frame[800:801].with_columns(value=pl.lit(10**12, pl.Int128), revision=pl.lit(2, pl.Int64))
    shards = Shards(KERNEL)
    first = shards.step(frame[:1000], Clock(1, -1, 0))["anomaly_alerts"]
    second = shards.step(pl.concat([wrong, frame[1000:]]), Clock(2, -1, 0))["anomaly_alerts"]
    assert pl.concat([first, second]).sort("id").equals(run(frame).sort("id"))


@pytest.fixture(scope="module")
def stream():
    changed = np.concatenate([noise(500, seed=4), noise(200, seed=5, mean=200.0)])
    return pl.concat(
        [
            points("revenue", spiked()[300:1000]),
            points("orders", changed),
            points("views", np.random.default_rng(3).poisson(1, 700), skip=range(400, 440)),
            points("errors", np.zeros(700)),
        ]
    )


SWIFT = DetectAnomalies(settle_after=30 * MINUTE)


@pytest.fixture(scope="module")
def whole(stream):
    return run(stream, kernel=SWIFT)


@pytest.mark.slow
@examples(8)
@given(st.data())
def test_any_cut_and_any_shards_give_the_same_alerts(stream, whole, data):
    cuts = data.draw(st.lists(st.integers(0, stream.height), max_size=4))
    shards = data.draw(st.sampled_from([1, 3]))
    assert whole.filter(kind="silence").height == 2
    assert whole.filter(kind="change").height >= 1
    assert run(stream, cuts, num_shards=shards, kernel=SWIFT).equals(whole)


def test_the_order_of_rows_does_not_matter(stream, whole):
    shards = Shards(SWIFT)
    said = shards.step(stream.sample(fraction=1.0, shuffle=True, seed=2), Clock(1, -1, 0))["anomaly_alerts"]
    assert said.sort("id").equals(whole.sort("id"))


def test_state_is_one_small_row_per_series(stream):
    shards = Shards(KERNEL)
    shards.step(stream, Clock(1, -1, 0))
    held = shards.states[0].rows["learnt"]
    assert held.height == 4
    assert held["memory"].bin.size().max() < 64 * 1024


def metric(name="orders", window="5m", value="12.5", *, final=True, revision=1):
    row = dict.fromkeys(METRIC_SCHEMA) | {
        "metric": name, "window_size": window, "value": None if value is None else Decimal(value), "final": final,
        "revision": revision, "dimensions": "{}", "window_end": datetime(2025, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return pl.DataFrame([row], schema=METRIC_SCHEMA)


def test_points_are_final_values_of_windows_that_do_not_overlap():
    rows = [
        metric(),
        metric(final=False),
        metric(value=None),
        metric(window="10m/1m"),
        metric("top_products"),
    ]
    read = read_points(pl.concat(rows))
    assert read.rows() == [(SEPARATOR.join(["orders", "5m", "{}", ""]), START, 12_500_000, 1)]
    assert read.schema == POINT_SCHEMA
    assert read_points(pl.concat(rows), ()).height == 2


def test_a_value_that_no_metric_can_have_is_no_point():
    texts = ["1e30", "1e300", "NaN", "inf", "x", None, "12.5"]
    end = pl.datetime(2025, 3, 1, time_zone="UTC", time_unit="ms")
    names = {"anonymous_id": pl.lit("orders"), "session_id": pl.lit("5m"), "currency": pl.lit(None, pl.String)}
    rows = pl.DataFrame({"properties": [json.dumps({"value": text}) for text in texts]})
    rows = rows.with_columns(event_time=end, **names)
    found = to_points(rows, ("orders",))
    assert found["value"].drop_nulls().to_list() == [12_500_000]  # in millionths
