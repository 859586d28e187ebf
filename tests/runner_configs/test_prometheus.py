"""Rules and dashboards: they name metrics that there are, each rule fires and ends, each query has an answer."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
import yaml

from ecompulse.epochs.seal import sealed
from ecompulse.io.exporter.catalogue import METRICS, PREFIX
from ecompulse.io.exporter.endpoint import serve
from ecompulse.io.exporter.exporter import Exporter
from ecompulse.io.stores import LocalStore
from ecompulse.simulator.settings import DAY_MS, Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import enrichment, write
from pipelines import realtime_metrics
from services.fixtures import missing
from services.prometheus import asked, promtool, start_prometheus
from services.server import Unavailable, free_port
from support.place import Place
from support.process import wait_until

CONFIGS = Path(__file__).parents[2] / "runner_configs"
RULES = CONFIGS / "prometheus" / "ecompulse.rules.yaml"
DOC = Path(__file__).parents[2] / "docs" / "prometheus.md"
ASKED_FOR = {
    "WatermarkGapGrowing", "NoEpochCommitted", "BacklogGrowing", "EpochRetries", "DeadLettersSpike", "BreakerOpen",
    "StateGrows", "BackupOld",
}  # fmt: skip


def rules():
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def queries():
    """Title and expression of every panel of every dashboard."""
    for path in sorted((CONFIGS / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]


QUERIES = dict(queries())


@pytest.mark.parametrize(
    "expression", [*(rule["expr"] for rule in rules().values()), *QUERIES.values()], ids=[*rules(), *QUERIES]
)
def test_every_metric_that_is_named_is_in_the_catalogue_with_the_labels_that_are_named(expression):
    named = re.findall(rf"{PREFIX}([a-z_]+)(?:{{([^}}]*)}})?", expression)
    assert named
    for name, labels in named:
        said = METRICS[re.sub("_(bucket|sum|count)$", "", name)]
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels):
            assert said.open or label in {"job_name", *said.labels}, (name, label)


def test_every_rule_has_a_runbook_a_severity_and_a_summary():
    headings = re.findall(r"(?m)^### (\w+)$", DOC.read_text())
    assert set(rules()) >= ASKED_FOR
    for name, rule in rules().items():
        assert name in headings
        assert rule["annotations"]["runbook_url"] == f"docs/prometheus.md#{name.lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
    tested = {case["name"] for case in yaml.safe_load(RULES.with_suffix(".test.yaml").read_text())["tests"]}
    assert tested == set(rules())


@pytest.mark.night
@pytest.mark.slow
def test_each_rule_fires_and_ends():
    try:
        done = promtool("test", "rules", RULES.with_suffix(".test.yaml").name, cwd=RULES.parent)
    except Unavailable as error:
        missing("promtool", str(error))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def two_days(tmp_path):
    """A shop of two days, its metrics in a lake, and the seals of all epochs."""
    write(
        simulate(Settings(seed=3, start="2025-09-01T18:00:00Z", events=20_000, duration_ms=2 * DAY_MS)),
        tmp_path / "shop",
    )
    (tmp_path / "enrich.yaml").write_text(yaml.safe_dump(enrichment(tmp_path / "shop")))
    place = Place(tmp_path, tmp_path / "shop" / "events", (), realtime_metrics)
    flags = (f"--enrich={tmp_path / 'enrich.yaml'}", "--keep_epochs=500", "--max_records_per_epoch=1500")
    assert place.run(*flags, "--warehouse=none") == 0
    return place


@pytest.mark.night
@pytest.mark.slow
def test_a_real_prometheus_sums_revenue_by_country_over_two_days(two_days, tmp_path):
    store, port = LocalStore(str(two_days.checkpoint)), free_port()
    exporter = Exporter("realtime_metrics", LocalStore(str(two_days.lake)))
    end = serve(exporter.registry, str(port))
    try:
        server = start_prometheus(tmp_path / "prometheus", [f"127.0.0.1:{port}"], [RULES])
    except Unavailable as error:
        end()
        missing("prometheus", str(error))
    try:
        for name in store.list("seals"):
            exporter.committed(sealed(store, int(Path(name).stem)))
        for number in range(3):  # so that a rate has something to say
            exporter.progress(progress(number))
            wait_until(lambda n=number: asked(server, f"ecompulse_epoch == {n}"))
        metrics = two_days.raw("metrics").filter("final", pl.col("window_size") != "epoch")
        check_countries(server, metrics)
        assert {
            found["metric"]["metric"] for found in asked(server, "ecompulse_kpi_window_end_timestamp_seconds")
        } == set(metrics["metric"].unique())
        for title, expression in QUERIES.items():
            wide = expression.replace("$__rate_interval", "1m").replace("$job_name", ".*")
            answer = asked(server, wide)
            assert answer or "anomalies" in wide or "alerts" in wide or "transactions" in wide, title
    finally:
        server.stop()
        end()


def check_countries(server, metrics):
    """What Prometheus sums is what the table has for the last window, and no other window is there."""
    mine = metrics.filter(pl.col("metric") == "revenue_by_country")
    last = mine.filter(pl.col("window_end") == pl.col("window_end").max()).sort("revision").unique("id", keep="last")
    expected = {
        json.loads(dimensions)["country"] or "": float(value)
        for dimensions, value in last.select("dimensions", "value").iter_rows()
    }
    query = 'sum by (country) (ecompulse_kpi{metric="revenue_by_country", window_size="10m"})'
    found = {each["metric"].get("country", ""): float(each["value"][1]) for each in asked(server, query)}
    assert found == pytest.approx(expected)
    assert len(found) > 1
    [end] = asked(server, 'ecompulse_kpi_window_end_timestamp_seconds{metric="revenue_by_country"}')
    assert float(end["value"][1]) == mine["window_end"].max().timestamp()
    top = asked(server, 'count(ecompulse_kpi{metric="top_products"})')
    assert float(top[0]["value"][1]) <= 11


def progress(number):
    """Of an epoch, with something of every kind."""
    return {
        "batchId": number, "numInputRows": 100, "backlog": 5, "timestamp": "2026-01-01T00:00:00.000Z",
        "durationMs": {"run": 900, "backup": 20, "total": 1000}, "sink": {"tables": {"dead_letters": 4}},
        "stateOperators": [{"operatorName": "windows", "numRowsTotal": 3, "stateBytes": 100}],
        "retries": {"run": 0, "publish": 1}, "lookups": {"user": {"breaker": "open", "hits": 3}},
        "eventTime": {"watermark": "2026-01-01T00:00:00.000Z"},
        "alerts": {"pager": {"pending": 2, "delivered": 3 * number}},
    }  # fmt: skip
