"""KPIs that another job has computed give the incidents of those that are computed on the way."""

import json
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from ecompulse.cli.settings import read_settings
from ecompulse.intake import Intake
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.simulator.episodes import CardTesting
from ecompulse.simulator.settings import DAY_MS, HOUR_MS, Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from pipelines import anomaly_detection, realtime_metrics
from support.script import comparable
from support.topics import Topics

DAYS = 2


def table(folder, name) -> pl.DataFrame:
    found = pl.from_arrow(DeltaTable(str(folder / "lake" / name)).to_pyarrow_table())
    assert isinstance(found, pl.DataFrame)
    return found


def flags(folder, *more: str):
    return [f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}", "--warehouse=none", "--progress=none", *more]


def alerts(folder, *more: str) -> pl.DataFrame:
    own = ("--detect=kpi", "--kpi_threshold=2.5", "--drain")
    assert anomaly_detection.main(flags(folder, *own, *more)) == 0
    return comparable(table(folder, "anomaly_alerts"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    episodes = (CardTesting(DAY_MS + 9 * HOUR_MS, cards=40),)
    settings = Settings(seed=3, events=3_000 * DAYS, duration_ms=DAYS * DAY_MS, late=0.0, episodes=episodes)
    write(simulate(settings), folder / "shop")
    source = f"--source={folder / 'shop' / 'events'}"
    assert realtime_metrics.main(flags(folder / "metrics", source, "--drain")) == 0
    return folder, source


@pytest.fixture(scope="module")
def inline(shop, tmp_path_factory) -> pl.DataFrame:
    """Of metrics that are computed on the way."""
    found = alerts(tmp_path_factory.mktemp("inline"), shop[1])
    assert found.filter(kind="point", state="firing").height
    return found


@pytest.mark.slow
def test_a_table_of_metrics_gives_the_incidents_of_the_events(shop, inline, tmp_path):
    folder, _ = shop
    kpis = f"--kpis={folder / 'metrics' / 'lake' / 'metrics'}"
    assert_frame_equal(alerts(tmp_path / "table", kpis), inline)
    assert_frame_equal(alerts(tmp_path / "cut", kpis, "--max_records_per_epoch=20000", "--num_shards=3"), inline)


@pytest.mark.slow
def test_metrics_of_no_visitor_are_watched_too(shop, tmp_path):
    _, source = shop
    (tmp_path / "metrics.yaml").write_text("metrics: {views: {measure: count, windows: [tumbling 5m]}}")
    own = (f"--metrics={tmp_path / 'metrics.yaml'}", "--kpi_metrics=views")
    assert alerts(tmp_path / "views", source, *own).filter(kind="point").height


@pytest.mark.slow
def test_a_topic_of_metrics_gives_the_incidents_of_the_events(shop, inline, kafka, tmp_path):
    _, source = shop
    topics = Topics(kafka.facts["bootstrap"])
    prefix = f"{topics.make()}."
    topics.make(1, f"{prefix}metrics")
    own = ["--sink_units=1", "--lake=none"]  # one writer, one partition: windows in the order of their ends
    sink = [f"--sink=kafka://{topics.bootstrap}", f"--topic_prefix={prefix}", *own]
    metrics = [*flags(tmp_path / "metrics", source, "--drain"), *sink]
    assert realtime_metrics.main(metrics) == 0
    kpis = f"--kpis=kafka://{topics.bootstrap}/{prefix}metrics"
    read = alerts(tmp_path / "topic", kpis, "--trigger=available-now", "--max_records_per_epoch=30000")
    topics.close()
    assert_frame_equal(read, inline)


@pytest.mark.slow
def test_a_stopped_stream_is_noticed_by_the_clock_and_told_as_event_time_tells_it(tmp_path):
    """The job waits on a growing folder, as on a topic; processing time is real, the windows are years old."""
    (tmp_path / "rows").mkdir()

    def add(name: str, *at: int) -> None:
        row = {"metric": "orders", "window_size": "1s", "value": "3", "final": True}
        made = [{**row, "window_end": f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"} for second in at]
        (tmp_path / "rows" / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made))

    add("first", *range(320))
    own = ["--detect=kpi", f"--kpis={tmp_path / 'rows'}", "--silence_after=3s"]
    command = [sys.executable, "-m", "pipelines.anomaly_detection", *flags(tmp_path / "live", *own, "--trigger=500ms")]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(job, tmp_path / "live", ["firing"])
        add("second", 600)
        wait_for(job, tmp_path / "live", ["firing", "recovered"])
    finally:
        job.send_signal(signal.SIGTERM)
        _, said = job.communicate(timeout=60)
    assert job.returncode == 130, said
    assert anomaly_detection.main(flags(tmp_path / "drained", *own, "--drain")) == 0
    live, drained = (comparable(table(tmp_path / name, "anomaly_alerts")) for name in ("live", "drained"))
    assert_frame_equal(live, drained)


def wait_for(job, folder, states):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and job.poll() is None:
        there = (folder / "lake" / "anomaly_alerts" / "_delta_log").exists()
        if there and sorted(table(folder, "anomaly_alerts")["state"].to_list()) == states:
            return
        time.sleep(0.5)
    raise AssertionError(f"{states} never came: {job.poll()}")


def test_a_row_that_is_no_metric_is_a_dead_letter(tmp_path):
    good = {"metric": "orders", "window_size": "5m", "window_end": "2026-01-01T00:05:00Z", "value": "3", "final": True}
    rows = [good, {**good, "metric": None}, {**good, "window_end": "soon"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert anomaly_detection.main(flags(tmp_path, "--detect=kpi", f"--kpis={tmp_path / 'm.jsonl'}", "--drain")) == 0
    assert table(tmp_path, "dead_letters").height == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--detect=fraud", "--source=x", "--kpis=y"], "--kpis: is of no use without --detect=kpi"),
        (["--detect=kpi", "--source=x", "--kpis=y"], "--source: is of no use with --kpis"),
        (["--detect=kpi"], "--source: is required"),
        (["--detect=kpi", "--source=x", "--kpi_metrics=nothing"], "--kpi_metrics: nothing: is none of the metrics"),
        (["--source=x", "--kpi_threshold=0"], "--kpi_threshold: '0' is no number above zero"),
        (["--source=x", "--settle_after=0s"], "--settle_after: '0s' is no duration above zero"),
    ],
)
def test_what_does_not_fit_is_said(more, said, tmp_path, capsys):
    assert anomaly_detection.main(flags(tmp_path, *more)) == 2
    assert said in capsys.readouterr().err


def test_flags_reach_the_detector():
    own = ["--source=x", "--kpi_threshold=5", "--settle_after=1h", "--silence_after=10m", "--kpi_metrics=orders"]
    spec = anomaly_detection.SPEC
    job = anomaly_detection.make(read_settings("x", "x", spec.settings, own), Intake())
    assert job.kpis.anomalies == DetectAnomalies(threshold=5.0, settle_after=HOUR_MS, silence_after=600_000)
    assert job.kpis.watched == ("orders",)
