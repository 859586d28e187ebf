"""A step, a source, a sink and a store of a user's own, from a module outside the package."""

import json
import signal
import sqlite3
import sys
from pathlib import Path
from statistics import pvariance

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.cli.plugins import PLUGINS
from ecompulse.epochs.steps import Step
from ecompulse.io.schemes import Schemes
from ecompulse.kernels.enrich import enrichment
from ecompulse.kernels.metrics.measures.parse import MEASURES
from ecompulse.simulator.__main__ import main as simulate
from support.marks import nightly
from support.process import Shop, command, events, write_lines
from support.script import comparable

FLAGS = (
    "--drain",
    "--max_records_per_epoch=100",
    "--num_shards=2",
    "--progress=none",
    "--watermark_delay=30s",
    "--keep_epochs=1",
)
PLUGIN = "--plugin=shop_plugin"

OTHERS = ("kafka.", "jsonl.", "warehouse.", "lake.", "alerts.")


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module can be imported, and what it registers is forgotten after the test."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv(PLUGINS, "")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(enrichment, "STEPS", list(enrichment.STEPS))
    monkeypatch.delitem(MEASURES, "variance", raising=False)
    for module in ("ecompulse.io.sources", "ecompulse.io.sinks.registry", "ecompulse.io.stores"):
        __import__(module)
        for known in vars(sys.modules[module]).values():
            if isinstance(known, Schemes):
                monkeypatch.setattr(known, "_openers", dict(known._openers))
    monkeypatch.delitem(sys.modules, "shop_plugin", raising=False)


def queue(path: Path, lines: list[str]) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE queue (number INTEGER PRIMARY KEY, body BLOB)")
        connection.executemany("INSERT INTO queue (body) VALUES (?)", [(line.encode(),) for line in lines])
    connection.close()
    return path


def published(shop: Shop, table: str) -> pl.DataFrame:
    """What the sink of the plugin holds."""
    return comparable(pl.concat([pl.read_parquet(path) for path in (shop.root / "files").glob(f"{table}-*.parquet")]))


def test_a_source_a_sink_and_a_store_of_ones_own(tmp_path):
    rows = list(events(300))
    source = queue(tmp_path / "queue.db", rows)
    files = f"--sink=parquet:{tmp_path / 'ours' / 'files'}"
    ours = Shop(tmp_path / "ours", f"queue://{source}", (*FLAGS, PLUGIN, files))
    vault = f"--checkpoint=vault://{tmp_path / 'vault'}"
    assert ours.run_here(vault) == (0, "")
    assert list((tmp_path / "vault" / "commits").iterdir())
    plain = Shop(tmp_path / "plain", write_lines(tmp_path / "in" / "rows.jsonl", rows), FLAGS)
    assert plain.run_here() == (0, "")
    found, expected = ours.tables(), plain.tables()
    elsewhere = ("source", "source_offset")
    assert_frame_equal(*(tables["lake enriched_events"].drop(elsewhere) for tables in (found, expected)))
    for table in ("enriched_events", "dead_letters"):
        assert_frame_equal(published(ours, table), found[f"lake {table}"], check_column_order=False)
    status, said, why = command("pipelines.audit", f"vault://{tmp_path / 'vault'}")
    assert (status, f"parquet:{tmp_path / 'ours' / 'files'}: a sink of another module" in said) == (0, True), said + why
    status, said, _ = command("pipelines.checkpoint", "inspect", f"vault://{tmp_path / 'vault'}")
    assert (status, "event_enrichment" in said) == (0, True)


@pytest.mark.parametrize(
    "step", nightly([step for step in Step if not step.value.startswith(OTHERS)], [Step.SEALED, Step.PUBLISHED])
)
def test_a_sink_of_ones_own_killed_at_each_step_has_each_row_once(tmp_path, step):
    source = write_lines(tmp_path / "in" / "rows.jsonl", events(300))
    shop = Shop(tmp_path, source, (*FLAGS, PLUGIN, f"--sink=parquet:{tmp_path / 'files'}"), backup=True)
    status, said = shop.run(crash_at=f"{step}:2")
    assert status == -signal.SIGKILL, f"{step} was never reached: {said}"
    assert shop.run_here() == (0, "")
    for table in ("enriched_events", "dead_letters"):
        assert_frame_equal(published(shop, table), shop.tables()[f"lake {table}"], check_column_order=False)


def test_a_lake_and_a_checkpoint_of_before_gain_a_step(tmp_path):
    inbox = tmp_path / "in"
    write_lines(inbox / "1.jsonl", events(100))
    shop = Shop(tmp_path, inbox, ("--num_shards=2", "--progress=none", "--dedup"))
    assert shop.run_here() == (0, "")
    write_lines(inbox / "2.jsonl", events(100, 100))
    settings = tmp_path / "steps.yaml"
    settings.write_text("steps: {calendar: {holidays: ['2026-03-01']}}")
    assert shop.run_here(PLUGIN, f"--enrich={settings}", "--drain") == (0, "")
    found = shop.tables()["lake enriched_events"].sort("event_time")
    good = {json.loads(line)["event_id"] for line in events(200) if "cheap" not in line}
    assert sorted(found["event_id"]) == sorted(good)
    before, after = found.head(90), found.tail(90)
    assert before["calendar_status"].null_count() == 90
    assert after["calendar_status"].unique().to_list() == ["ok"]
    assert after["calendar_holiday"].all()


def test_a_checkpoint_of_before_gains_a_measure(tmp_path):
    inbox = tmp_path / "in"
    rows = list(events(900))
    write_lines(inbox / "1.jsonl", rows[:450])
    shop = Shop(tmp_path, inbox, ("--num_shards=2", "--progress=none", "--keep_duplicates"), job="realtime_metrics")
    metrics = tmp_path / "metrics.yaml"
    before = "people: {measure: {distinct: user_id}, windows: [tumbling 10m], dimensions: [event_type]}"
    metrics.write_text(f"metrics: {{{before}}}")
    assert shop.run_here(f"--metrics={metrics}") == (0, "")
    write_lines(inbox / "2.jsonl", rows[450:])
    metrics.write_text(
        f"metrics: {{{before}, spread: {{measure: {{variance: price}}, windows: [tumbling 10m],"
        " dimensions: [event_type]}, many: {measure: {variance: quantity}, windows: [tumbling 10m]}}"
    )
    assert shop.run_here(PLUGIN, f"--metrics={metrics}", "--drain") == (0, "")
    found = shop.tables()["lake metrics"].filter(pl.col("metric").is_in(["spread", "many"]) & pl.col("final"))
    seen: dict[tuple[str, str], list[float]] = {}
    for event in map(json.loads, rows[450:]):
        if event["price"] != "cheap" and event["event_time"][11:15] > "00:3":  # windows that only the second run saw
            key = event["event_time"][:15], event["event_type"]
            seen.setdefault(key, []).append(event["price"])
    assert len(seen) > 5
    for (minutes, kind), prices in seen.items():
        window = pl.col("window_start").dt.strftime("%Y-%m-%dT%H:%M").str.starts_with(minutes)
        told = found.filter(window, pl.col("metric") == "spread", pl.col("dimensions") == f'{{"event_type":"{kind}"}}')
        assert float(told["value"].item()) == pytest.approx(pvariance(prices), abs=1e-4)
    assert found.filter(pl.col("metric") == "many")["value"].null_count() >= 3


def test_a_measure_of_ones_own_is_one_whatever_the_cut(tmp_path):
    source = write_lines(tmp_path / "in" / "rows.jsonl", events(900))
    metrics = tmp_path / "metrics.yaml"
    metrics.write_text("metrics: {spread: {measure: {variance: price}, windows: [sliding 10m/5m]}}")
    flags = (PLUGIN, f"--metrics={metrics}", "--drain", "--progress=none", "--watermark_delay=30s")
    found = []
    for cut, shards in ((10_000, 1), (170, 3)):
        shop = Shop(tmp_path / str(cut), source, flags, job="realtime_metrics")
        assert shop.run_here(f"--max_records_per_epoch={cut}", f"--num_shards={shards}") == (0, "")
        rows = shop.tables()["lake metrics"].filter(pl.col("metric") == "spread", pl.col("final"))
        found.append(rows.sort("window_start"))
    assert_frame_equal(*found)


def test_an_alert_target_of_ones_own(tmp_path):
    assert simulate([f"--out={tmp_path / 'shop'}", "--events=4000", "--seed=3"]) == 0
    target = tmp_path / "told.jsonl"
    flags = ("--drain", "--progress=none", "--num_shards=2", PLUGIN, f"--alert=lines:{target}")
    made = Shop(tmp_path, tmp_path / "shop" / "events", flags, job="session_analytics")
    assert made.run_here()[0] == 0
    told = [json.loads(line) for line in target.read_text().splitlines()]
    left = made.tables()["lake abandonment_alerts"]
    assert len({line["key"] for line in told}) == len(told) == left.height > 3
    assert {line["status"] for line in told} == {"firing", "resolved"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--plugin=no_such_module"],
            "--plugin: no_such_module: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ([PLUGIN, "--sink=parkuet:x"], "--sink: parkuet:x: no such sink, did you mean parquet; give"),
        ([PLUGIN, "--source=quue://x"], "--source: quue://x: no such source, did you mean queue; give"),
        ([PLUGIN, "--source=queue:///no/file.db"], "--source: queue:///no/file.db: no such database"),
        ([PLUGIN, "--checkpoint=valt://x"], "--checkpoint: valt://x: no such store, did you mean vault; use"),
    ],
)
def test_what_nobody_registered_is_one_line(tmp_path, flags, message):
    source = write_lines(tmp_path / "in" / "rows.jsonl", events(1))
    status, said = Shop(tmp_path, source).run_here(*flags)
    assert (status, said.count("\n")) == (2, 1)
    assert message in said
