"""The four jobs on a small shop, and their tables as equality sees them."""

import sqlite3
from pathlib import Path

import polars as pl
import yaml
from deltalake import DeltaTable

from ecompulse.simulator.episodes import CardTesting
from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from pipelines import anomaly_detection, event_enrichment, realtime_metrics, session_analytics
from support.script import comparable

JOBS = {
    "event_enrichment": (
        event_enrichment.main,
        ["--dedup", "--match_payments", "--join_wait=2h"],
        ("enriched_events", "dead_letters", "data_quality"),
    ),
    "session_analytics": (
        session_analytics.main,
        [],
        ("sessions", "session_events", "funnels", "abandonment_alerts", "page_transitions"),
    ),
    "realtime_metrics": (
        realtime_metrics.main,
        ["--dedup", "--max_series=3"],
        ("metrics", "metric_alerts", "data_quality"),
    ),
    "anomaly_detection": (
        anomaly_detection.main,
        [
            "--dedup",
            "--learn_every=1h",
            "--refit_every=2h",
            "--label_wait=0s",
            "--label_horizon=4h",
            "--alerts_per_day=20",
        ],
        ("risk_scores", "flagged_transactions", "data_quality"),
    ),
}

RULES = """
rules:
  failing: {metric: payment_failure_rate, window: 10m/1m, above: 0.2}
  quieter: {metric: page_views, window: 10m/1m, drop: 50%, against: previous, for: 2m}
"""
HOUR = 3_600_000
AFTER_THE_SHOP = "2026"
EPISODES = (CardTesting(5 * HOUR, cards=40), CardTesting(9 * HOUR, cards=30))
"""Their refused payments are labelled an hour later: there is something to learn on the same day."""


def make_shop(folder: Path) -> Path:
    """A small day with what each job wants beside it."""
    # No event later than the delay: late rows are late by a cut's watermark.
    truth = write(simulate(Settings(seed=11, events=3000, late=0.0, episodes=EPISODES)), folder / "shop")
    assert truth.late == 0
    columns = {"segment": "text", "loyalty_tier": "text", "country": "text"}
    (folder / "rules.yaml").write_text(RULES)
    (folder / "enrich.yaml").write_text(yaml.safe_dump({"steps": {"user": {"columns": columns}}}))
    (folder / "policy.yaml").write_text("rules: {again: {user_count_1d: {above: 0}}}")
    return folder


def start(job: str, shop: Path, out: Path, *flags: str) -> int:
    main, own, _ = JOBS[job]
    updates = {
        "event_enrichment": [f"--user_updates={shop / 'shop' / 'user_updates.jsonl'}"],
        "realtime_metrics": [f"--rules={shop / 'rules.yaml'}"],
        "anomaly_detection": [f"--labels={shop / 'shop' / 'labels.jsonl'}", f"--policy={shop / 'policy.yaml'}"],
    }.get(job, [])
    return main(
        [
            f"--source={shop / 'shop' / 'events'}", f"--enrich={shop / 'enrich.yaml'}", *own, *updates, *flags,
            f"--lake={out / 'lake'}", f"--checkpoint={out / 'checkpoint'}", "--drain",
            f"--warehouse=sqlite:///{out / 'w.db'}",
            "--progress=none",
        ]
    )  # fmt: skip


def run(job: str, shop: Path, out: Path, *flags: str) -> dict[str, pl.DataFrame]:
    assert start(job, shop, out, *flags) == 0
    names = JOBS[job][2]
    lake = {name: final(pl.from_arrow(DeltaTable(str(out / "lake" / name)).to_pyarrow_table())) for name in names}
    return lake | in_warehouse(out / "w.db")


def final(frame: pl.DataFrame) -> pl.DataFrame:
    """Of revised rows the last; without early ones, and without what is told of the hour of the run itself.

    That is what the driver measured of its epochs, and quality counts: a row without a readable time counts in
    the hour in which it was read.
    """
    if "metric" in frame.columns and "final" in frame.columns:
        kept = frame.filter(pl.col("final").cast(pl.Boolean), pl.col("window_size") != "epoch")
        frame = kept.sort("revision").unique("id", keep="last")
    if "window_start" in frame.columns:
        frame = frame.filter(pl.col("window_start").cast(pl.String) < AFTER_THE_SHOP)
    return comparable(frame)


def in_warehouse(path: Path) -> dict[str, pl.DataFrame]:
    with sqlite3.connect(path) as warehouse:
        tables = [name for (name,) in warehouse.execute("select name from sqlite_master where type = 'table'")]
        found = {
            f"{name} in the warehouse": final(read(warehouse, name)) for name in tables if name != "ecompulse_ledger"
        }
    assert found
    return found


def read(warehouse: sqlite3.Connection, name: str) -> pl.DataFrame:
    query = f"select * from {name}"  # noqa: S608  # our own names
    return pl.read_database(query, warehouse, infer_schema_length=None)
