"""Incidents that the simulator plants are found from its events: metrics, then the detector."""

import polars as pl
import pytest

from benchmarks.planted import INCIDENTS, KPI_DAYS, LEARNING, METRICS, MINUTE, of_incident
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.matching import read_points
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import parse_metrics
from ecompulse.kernels.step import Clock
from ecompulse.simulator.settings import DAY_MS, Settings
from ecompulse.simulator.shop import simulate
from support.metric_runs import Shards, run_metrics


@pytest.fixture(scope="module")
def told():
    """Labels, and incidents that fired."""
    shop = Settings(seed=5, bots=0.0, events=40_000 * KPI_DAYS, duration_ms=KPI_DAYS * DAY_MS, episodes=INCIDENTS)
    chunks = list(simulate(shop).chunks())
    place = {"source": pl.lit("shop"), "source_partition": pl.lit(0), "source_offset": pl.int_range(pl.len())}
    events = pl.concat([chunk.events() for chunk in chunks]).with_columns(**place)
    metrics, _ = run_metrics(bind(parse_metrics(METRICS), events.schema, fill=20), [(events, -1)])
    alerts = Shards(DetectAnomalies()).step(read_points(metrics, ()), Clock(1, -1, 0))["anomaly_alerts"]
    fired = alerts.filter(state="firing").with_columns(at=pl.col("since").dt.epoch("ms"))
    return pl.concat([chunk.labels for chunk in chunks]), fired, shop.start_ms


@pytest.mark.slow
def test_each_is_found_while_it_lasts(told):
    labels, fired, _ = told
    for label in labels.to_dicts():
        found = of_incident(label, fired)
        assert not found.is_empty(), label
        assert found["at"].min() - label["since"] <= 40 * MINUTE, label


@pytest.mark.slow
def test_the_metric_says_what_is_wrong(told):
    labels, fired, _ = told
    named = {label["episode"]: set(of_incident(label, fired)["metric"]) for label in labels.to_dicts()}
    assert named["traffic_collapse"] & {"page_views", "active_visitors"}
    assert "searches_without_result" in named["search_outage"]
    assert "revenue" in named["price_error"]
    assert "payment_failures" in named["checkout_outage"]


@pytest.mark.slow
def test_false_alarms_are_few(told):
    labels, fired, start = told
    later = fired.filter(pl.col("at") >= start + LEARNING * DAY_MS)
    right = pl.concat([of_incident(label, later) for label in labels.to_dicts()])
    false = later.height - right["id"].n_unique()
    assert false / (KPI_DAYS - LEARNING) <= 3.0  # per day, over six series
