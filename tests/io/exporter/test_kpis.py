"""KPIs as Prometheus sees them: dimensions are labels, closed windows go, each metric is bounded by itself."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ecompulse.io.exporter.catalogue import METRICS, PREFIX
from ecompulse.io.exporter.exporter import Exporter
from ecompulse.io.exporter.kpis import SILENCE_S, Kpis
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA

MINUTE = 60_000


def rows(*given: tuple):
    """Rows of `metrics`: (metric, window, end in minutes, dimensions, value), and changes of other columns."""
    made = [
        {"metric": metric, "window_size": size, "window_end": end * MINUTE, "dimensions": json.dumps(dimensions),
         "value": value, "final": True, "revision": 1, **(more[0] if more else {})}
        for metric, size, end, dimensions, value, *more in given
    ]  # fmt: skip
    frame = pl.DataFrame(made, schema_overrides={"currency": pl.String})
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in METRIC_SCHEMA.items() if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in METRIC_SCHEMA.items())


def shown(kpis, name="kpi"):
    """Samples as a scrape has them: labels without the job's, and value."""
    registry = CollectorRegistry()
    registry.register(kpis)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return [
        ({key: value for key, value in sample.labels.items() if key != "job_name"}, sample.value)
        for family in families
        for sample in family.samples
        if sample.name == f"{PREFIX}{name}"
    ]


def test_dimensions_and_currency_are_labels():
    kpis = Kpis("j")
    kpis.take(rows(("revenue", "1m", 1, {"country": "DE", "device": "tablet"}, 5, {"currency": "EUR"})))
    assert shown(kpis) == [
        ({"metric": "revenue", "window_size": "1m", "currency": "EUR", "country": "DE", "device": "tablet"}, 5)
    ]


@pytest.mark.parametrize(
    ("dimension", "label"),
    [("country", "country"), ("utm-source", "utm_source"), ("1st", "dimension_1st"), ("metric", "dimension_metric"),
     ("instance", "dimension_instance"), ("__x", "dimension___x"), ("größe", "gr__e")],
)  # fmt: skip
def test_every_dimension_has_a_name_that_prometheus_takes(dimension, label):
    kpis = Kpis("j")
    kpis.take(rows(("m", "1m", 1, {dimension: 'a"b\nc\\'}, 5)))
    [(labels, _)] = shown(kpis)
    assert labels[label] == 'a"b\nc\\'


def test_the_last_window_takes_the_place_of_those_before_it_whatever_its_series():
    kpis = Kpis("j")
    kpis.take(rows(*(("top", "10m", 10, {"item": f"p{n}"}, n) for n in range(3))))
    kpis.take(rows(("top", "10m", 20, {"item": "p9"}, 9), ("top", "10m", 20, {"item": "p1"}, 4)))
    assert [(labels["item"], value) for labels, value in shown(kpis)] == [("p9", 9), ("p1", 4)]
    kpis.take(rows(("top", "10m", 10, {"item": "p0"}, 99, {"revision": 2})))  # a late row of a window that is gone
    assert len(shown(kpis)) == 2
    kpis.take(rows(("top", "10m", 20, {"item": "p1"}, 5, {"revision": 2})))  # of the one that is shown
    assert {labels["item"]: value for labels, value in shown(kpis)} == {"p9": 9, "p1": 5}
    assert shown(kpis, "kpi_window_end_timestamp_seconds") == [({"metric": "top", "window_size": "10m"}, 1200)]


def test_of_several_windows_in_an_epoch_the_last_is_shown():
    kpis = Kpis("j")
    kpis.take(rows(("top", "10m", 10, {"item": "a"}, 1), ("top", "10m", 20, {"item": "b"}, 2), ("m", "1m", 21, {}, 3)))
    assert {labels.get("item"): value for labels, value in shown(kpis)} == {"b": 2, None: 3}


def test_a_metric_with_many_series_hides_its_own_smallest_and_nothing_of_others():
    kpis = Kpis("j", most=5)
    kpis.take(rows(*(("big", "1m", 1, {"item": f"p{n:02d}"}, n) for n in range(12)), ("small", "1m", 1, {}, 1)))
    found = shown(kpis)
    assert [value for labels, value in found if labels["metric"] == "big"] == [11, 10, 9, 8, 7]
    assert [value for labels, value in found if labels["metric"] == "small"] == [1]
    assert shown(kpis, "kpi_series_hidden") == [({"metric": "big", "window_size": "1m"}, 7)]


def test_two_windows_of_a_metric_are_two_and_what_is_not_final_or_has_no_value_is_none():
    kpis = Kpis("j")
    kpis.take(
        rows(
            ("m", "1m", 1, {}, 1),
            ("m", "10m/1m", 1, {}, 7),
            ("m", "1m", 2, {}, 5, {"final": False}),
            ("rate", "1m", 1, {}, None),
            ("latency", "epoch", 1, {}, 3),
        )
    )
    assert {(labels["metric"], labels["window_size"]): value for labels, value in shown(kpis)} == {
        ("m", "1m"): 1,
        ("m", "10m/1m"): 7,
    }


def test_windows_of_data_quality_which_may_be_of_now_make_no_other_metric_old():
    kpis = Kpis("j")
    kpis.take(rows(("m", "1m", 1, {}, 1)))
    kpis.take(rows(("data_quality", "1h", 1_000_000, {"check_name": "bot"}, 1)))
    assert {labels["metric"] for labels, _ in shown(kpis)} == {"m", "data_quality"}


@pytest.mark.parametrize("lag", [0, 90])
def test_a_metric_without_new_windows_goes_but_one_that_only_lags_stays(lag):
    kpis = Kpis("j")
    for minute in range(1, 400):
        given = [("steady", "1m", minute, {}, 1)]
        if lag < minute < 200 + lag:
            given.append(("other", "1m", minute - lag, {}, 2))
        kpis.take(rows(*given))
        last = min(minute, 199 + lag)
        there = any(labels["metric"] == "other" for labels, _ in shown(kpis)) if minute % 20 == 0 else None
        if there is not None and minute > lag:
            assert there == (minute - last <= 1 + SILENCE_S / 60), minute


def test_every_metric_that_is_shown_is_in_the_catalogue_with_its_labels_and_a_help_that_says_something(tmp_path):
    exporter = Exporter("j", LocalStore(str(tmp_path)), ["dead_letters"])
    exporter.progress(PROGRESS)
    exporter._kpis.take(rows(("m", "1m", 1, {}, 1)))
    for family in exporter.registry.collect():
        name = family.name.removeprefix(PREFIX)
        if not family.name.startswith(PREFIX):
            assert family.name.startswith(("process_", "python_")), family.name
            continue
        said = METRICS.get(name) or METRICS[f"{name}_total"]
        assert family.documentation == said.help
        assert family.type == said.kind
        for sample in family.samples:
            extra = {"le"} if sample.name.endswith("_bucket") else set()
            assert said.open or set(sample.labels) <= {"job_name", *said.labels, *extra}, sample


@pytest.mark.parametrize("name", sorted(METRICS))
def test_names_and_help_follow_the_conventions(name):
    said = METRICS[name]
    assert (said.kind == "counter") == name.endswith("_total")
    assert len(said.help) > 20
    assert said.help.endswith((".", ")"))
    assert not {"job", "instance"} & set(said.labels)


def test_a_metric_that_is_not_in_the_catalogue_cannot_be_shown(tmp_path):
    with pytest.raises(KeyError):
        Exporter("j", LocalStore(str(tmp_path)))._set("surprise", 1)


PROGRESS = {
    "batchId": 3, "numInputRows": 10, "backlog": 5, "timestamp": "2026-01-01T00:00:00.000Z",
    "durationMs": {"run": 900, "backup": 20, "total": 1000}, "sink": {"tables": {"metrics": 4}},
    "stateOperators": [{"operatorName": "windows", "numRowsTotal": 3, "stateBytes": 100}],
    "retries": {"run": 0, "publish": 1}, "lookups": {"user": {"breaker": "open", "hits": 3}},
    "models": {"threshold": 0.5}, "eventTime": {"watermark": "2026-01-01T00:00:00.000Z"},
    "measured": {"latencyMs": {"p50": {"ms": 12}}},
    "alerts": {"pager": {"pending": 2, "delivered": 3}},
}  # fmt: skip


def test_deliveries_of_alerts_are_counters_though_the_progress_has_sums(tmp_path):
    exporter = Exporter("j", LocalStore(str(tmp_path)))
    for delivered in (3, 3, 7):
        exporter.progress({**PROGRESS, "alerts": {"pager": {"pending": 0, "delivered": delivered}}})
    labels = {"job_name": "j", "receiver": "pager", "outcome": "delivered"}
    assert exporter.registry.get_sample_value("ecompulse_alert_deliveries_total", labels) == 7


def test_the_rows_of_an_epoch_are_taken_at_once_whatever_files_they_are_in(tmp_path):
    exporter, frames = Exporter("j", LocalStore(str(tmp_path))), []
    parts = [rows(("m", "1m", 1, {}, 1)), rows(("m", "1m", 2, {}, 2))]
    for number, part in enumerate(parts):
        part.write_parquet(tmp_path / f"{number}.parquet")
    exporter._readers = {"metrics": frames.append}
    exporter.committed(SimpleNamespace(files={"metrics": [{"path": "0.parquet"}, {"path": "1.parquet"}]}))
    assert [frame.height for frame in frames] == [2]
    exporter.committed(SimpleNamespace(files={}))
    assert len(frames) == 1


def test_processes_are_shown_and_tables_without_rows_begin_at_zero(tmp_path):
    exporter = Exporter("j", LocalStore(str(tmp_path)), ["dead_letters"])
    assert exporter.registry.get_sample_value("process_resident_memory_bytes") > 1e6
    labels = {"job_name": "j", "table": "dead_letters"}
    assert exporter.registry.get_sample_value("ecompulse_output_rows_total", labels) == 0
