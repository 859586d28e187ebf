"""Silence by processing time: only of a stream that stands, and the same rows as by event time."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.matching import POINT_SCHEMA
from ecompulse.kernels.anomalies.stopped import sign_of_life, tick
from ecompulse.kernels.hashing import shard_of
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.anomaly_points import MINUTE, noise, points, run
from support.examples import examples
from support.metric_runs import Shards

KERNEL = DetectAnomalies()
NOW = 4_102_444_800_000  # years after the points
BEFORE = 330


class Job:
    """A job that waits: an epoch for rows, or for time alone."""

    def __init__(self, num_shards=1) -> None:
        self.shards, self.num_shards = Shards(KERNEL, num_shards), num_shards
        self.epoch, self.now, self.watermark, self.said = 0, NOW, -1, []

    def step(self, rows, minutes=1, *, watermark=None):
        self.epoch, self.now = self.epoch + 1, self.now + minutes * MINUTE
        clock = Clock(self.epoch, self.watermark if watermark is None else watermark, self.now)
        batch = pl.concat([rows, sign_of_life(rows, self.num_shards), tick(clock, self.num_shards)])
        self.said.append(self.shards.step(batch, clock)["anomaly_alerts"])
        self.watermark = max(self.watermark, rows["end"].max() or 0)
        return self.said[-1]

    def wait(self, minutes):
        return pl.concat([self.said[-1].clear(), *(self.step(NOTHING) for _ in range(minutes))])

    def alerts(self):
        return pl.concat(self.said).sort("since", "metric", "kind", "window_end", "id")


NOTHING = pl.DataFrame(schema=POINT_SCHEMA)


def silences(alerts):
    return alerts.filter(kind="silence")


def test_a_silence_fires_once_by_now_and_recovers_once_with_the_next_window():
    job, whole = Job(), points("orders", noise(400), skip=range(BEFORE, BEFORE + 50))
    job.step(whole[:BEFORE])
    assert silences(job.wait(31)).is_empty()  # the first epoch without rows is the start, not a minute of it
    assert silences(job.wait(1))["state"].to_list() == ["firing"]
    assert silences(job.wait(60)).is_empty()
    assert silences(job.step(whole[BEFORE:]))["state"].to_list() == ["recovered"]


@pytest.mark.slow
@examples(4)
@given(st.data())
def test_what_fires_by_now_is_what_event_time_tells_of_the_same_gap(data):
    other = points("views", noise(400, seed=9), skip=range(BEFORE - 20, BEFORE + 50))
    whole = pl.concat([points("orders", noise(400), skip=range(BEFORE, BEFORE + 50)), other]).sort("end", "series")
    stop = 2 * BEFORE - 20
    cuts = sorted(data.draw(st.lists(st.integers(1, whole.height), max_size=3)))
    job = Job(data.draw(st.sampled_from([1, 3])))
    for start, end in zip([0, *cuts], [*cuts, whole.height], strict=True):
        for rows in (whole[start : min(end, stop)], whole[max(start, stop) : end]):
            job.step(rows)
            job.wait(40 if rows.height and rows["end"].max() == whole["end"][stop - 1] else 0)
    assert silences(job.alerts()).height == 4
    assert job.alerts().equals(run(whole, kernel=KERNEL))


def test_windows_that_come_after_all_add_one_silence_and_change_nothing_else():
    job, whole = Job(), points("orders", noise(400), skip=range(360, 380))
    job.step(whole[:BEFORE])
    job.wait(40)
    job.step(whole[BEFORE:])
    usual = run(whole)
    more = job.alerts().filter(~pl.col("id").is_in(usual["id"].implode()))
    assert job.alerts().filter(pl.col("id").is_in(usual["id"].implode())).equals(usual)
    assert more.select("kind", "state").rows() == [("silence", "recovered"), ("silence", "firing")]
    assert more["incident_id"].n_unique() == 1


def test_years_between_the_points_and_now_are_no_silence():
    job, whole = Job(), points("orders", noise(400))
    for start in range(0, 400, 20):
        job.step(whole[start : start + 20], minutes=600)  # ten hours for each epoch of a backlog
    assert silences(job.alerts()).is_empty()


def test_time_in_which_nobody_looked_does_not_count():
    job = Job()
    job.step(points("orders", noise(BEFORE)))
    job.wait(5)
    job.epoch += 1  # an epoch of a run that did not wait
    assert silences(job.step(NOTHING, minutes=10_000)).is_empty()
    assert silences(job.wait(30)).is_empty()
    assert silences(job.wait(1)).height == 1


@pytest.mark.slow
def test_rows_without_points_are_a_sign_of_life():
    job = Job(3)
    job.step(points("orders", noise(BEFORE)))
    job.wait(25)
    clock = Clock(job.epoch + 1, job.watermark, job.now + MINUTE)
    life = sign_of_life(pl.DataFrame({"event": [1]}), 3)
    job.shards.step(pl.concat([life, tick(clock, 3)]), clock)
    job.epoch += 1
    assert silences(job.wait(25)).is_empty()


@pytest.mark.slow
def test_a_series_with_long_gaps_is_given_time_by_now_too():
    job = Job()
    rare = points("refunds", noise(BEFORE), step=60)
    job.step(pl.concat([rare, points("orders", noise(BEFORE))]))
    assert silences(job.wait(32))["metric"].to_list() == ["orders"]
    assert silences(job.wait(88)).is_empty()
    assert silences(job.wait(2))["metric"].to_list() == ["refunds"]


def test_draining_makes_nobody_silent_however_long_the_stream_stood():
    job = Job()
    job.step(points("orders", noise(BEFORE)))
    job.wait(2)
    assert silences(job.step(NOTHING, minutes=10_000, watermark=END_OF_TIME)).is_empty()


@pytest.mark.slow
def test_a_stop_leaves_one_small_row_per_shard_and_none_when_it_is_over():
    job = Job(3)
    whole = points("orders", noise(BEFORE + 1))
    job.step(whole[:BEFORE])
    job.wait(40)
    assert [state.rows["stopped"].height for state in job.shards.states] == [1, 1, 1]
    job.step(whole[BEFORE:])
    assert [state.rows["stopped"].height for state in job.shards.states] == [0, 0, 0]


@pytest.mark.parametrize("num_shards", [1, 2, 7, 64])
def test_every_shard_has_its_tick(num_shards):
    rows = tick(Clock(1, -1, NOW), num_shards)
    assert sorted(shard_of(rows["series"], num_shards)) == list(range(num_shards))
    assert rows.schema == POINT_SCHEMA
