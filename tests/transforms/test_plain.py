"""The public transforms in a plain bounded pipeline: no job, no epoch, no word from Beam, on two runners."""

import doctest
import importlib
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import ecompulse as eco
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.joins import STAGED, Joins
from ecompulse.kernels.interval_join import MatchPayments
from ecompulse.runners.local import LocalRunner

MINUTE = 60_000
START = 1_700_006_400_000  # a whole hour
RUNNERS = (LocalRunner, FnApiRunner)
BASE = {"user_id": "u", "currency": "EUR"}

EVENTS = eco.event_frame(
    [
        {**BASE, "event_id": "1", "event_type": "page_view", "event_time": START},
        {**BASE, "event_id": "2", "event_type": "product_view", "event_time": START + MINUTE, "product_id": "p"},
        {**BASE, "event_id": "2", "event_type": "product_view", "event_time": START + MINUTE, "product_id": "p"},
        {**BASE, "event_id": "3", "event_type": "purchase", "event_time": START + 2 * MINUTE, "product_id": "p",
         "order_id": "o", "price": 12, "quantity": 2},
        {**BASE, "event_id": "4", "event_type": "payment", "event_time": START + 3 * MINUTE, "order_id": "o",
         "payment_id": "y", "payment_status": "captured", "amount": 24},
    ]
)  # fmt: skip
NAMED = EVENTS.with_columns(visitor="user_id")
VISITS = NAMED.unique("event_id", keep="first", maintain_order=True)


def collected(compose: Callable[[Any], Mapping[str, Any]], runner: type) -> dict[str, pl.DataFrame]:
    """What a pipeline of one frame per bundle gives, by name."""
    found: dict[str, list[pl.DataFrame]] = {}
    _SINKS[id(found)] = found
    with beam.Pipeline(runner=runner()) as pipeline:
        for name, frames in compose(pipeline).items():
            if frames is not None:
                found[name] = []
                _ = frames | f"Collect {name}" >> beam.Map(_keep, id(found), name)
    return {name: pl.concat(frames) if frames else pl.DataFrame() for name, frames in found.items()}


_SINKS: dict[int, dict[str, list[pl.DataFrame]]] = {}


def _keep(frame: pl.DataFrame, place: int, name: str) -> None:
    _SINKS[place][name].append(frame)


def created(pipeline: Any, frame: pl.DataFrame, name: str = "Events") -> Any:
    """Two frames of some rows each."""
    frames = [frame[: frame.height // 2], frame[frame.height // 2 :]]
    return pipeline | name >> beam.Create(frames).with_output_types(pl.DataFrame)


def sessionized(pipeline: Any) -> Mapping[str, Any]:
    return created(pipeline, VISITS) | eco.SessionizeEvents()


def enriched(pipeline: Any) -> Mapping[str, Any]:
    return {"events": created(pipeline, EVENTS) | eco.EnrichEvents()}


def aggregated(pipeline: Any) -> Mapping[str, Any]:
    return created(pipeline, VISITS) | eco.AggregateMetrics()


def scored(pipeline: Any) -> Mapping[str, Any]:
    return created(pipeline, VISITS) | eco.ScoreTransactions()


def joined(pipeline: Any) -> Mapping[str, Any]:
    joins = Joins(Deduplicate(columns=STAGED), payments=MatchPayments(EVENTS.schema))
    return {"events": ({"events": created(pipeline, EVENTS)} | eco.JoinEvents(joins))["events"]}


def totalled(pipeline: Any) -> Mapping[str, Any]:
    totals = eco.TotalPerWindow("types", time="event_time", keys=["event_type"], sums=["quantity"])
    return {"types": created(pipeline, VISITS) | totals}


@pytest.fixture(autouse=True)
def beam_says_nothing(caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not said


@pytest.mark.parametrize("runner", RUNNERS)
def test_sessions(runner):
    [session] = collected(sessionized, runner)["sessions"].to_dicts()
    assert (session["visitor"], session["events"], session["duration_ms"]) == ("u", 4, 3 * MINUTE)


@pytest.mark.parametrize("runner", RUNNERS)
def test_enrichment_keeps_every_row(runner):
    found = collected(enriched, runner)["events"]
    assert found["event_id"].sort().to_list() == ["1", "2", "2", "3", "4"]
    assert "geo_country" in found.columns


@pytest.mark.parametrize("runner", RUNNERS)
def test_metrics_of_the_standard_set(runner):
    metrics = collected(aggregated, runner)["metrics"]
    by_minute = metrics.filter(pl.col("metric") == "page_views", pl.col("window_size") == "1m", "final")
    assert by_minute["value"].cast(float).sort(descending=True).to_list()[:3] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("runner", RUNNERS)
def test_scores_without_labels(runner):
    found = collected(scored, runner)
    assert found["risk_scores"]["transaction_id"].to_list() == ["y"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_first_copy_passes_whole_and_meets_its_payment(runner):
    found = collected(joined, runner)["events"].sort("event_id")
    assert found["event_id"].to_list() == ["1", "2", "3", "4"]
    assert found["product_id"].to_list() == [None, "p", "p", None], "the rows themselves, not what refers to them"
    assert found["match_status"].to_list()[2] == "matched"


@pytest.mark.parametrize("runner", RUNNERS)
def test_totals_per_window(runner):
    found = collected(totalled, runner)["types"].sort("event_type")
    assert found.select("event_type", "rows", "quantity").rows() == [
        ("page_view", 1, 0), ("payment", 1, 0), ("product_view", 1, 0), ("purchase", 1, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("module", ["aggregate", "decode", "enrich", "join", "score", "sessionize", "total"])
def test_examples_run_as_they_stand(module):
    done = doctest.testmod(importlib.import_module(f"ecompulse.transforms.{module}"))
    assert done.attempted > 0
    assert not done.failed
