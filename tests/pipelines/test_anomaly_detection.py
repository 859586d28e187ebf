"""The job on the simulator's frauds: each kind is found once labels have come, and not at any price."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable

from ecompulse.simulator.episodes import CardTesting
from ecompulse.simulator.frauds import StolenCards
from ecompulse.simulator.settings import DAY_MS, HOUR_MS, Settings, instant
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from pipelines import anomaly_detection
from pipelines.demo import enrichment

DAYS = 6
BUDGET = 40
START = instant(Settings().start)


def episodes() -> tuple:
    found = []
    for day in range(DAYS):
        began = day * DAY_MS
        found += [CardTesting(began + 11 * HOUR_MS, cards=40), StolenCards(began + 15 * HOUR_MS)]
        found.append(StolenCards(began + 19 * HOUR_MS, takeover=True))
    return tuple(found)


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> tuple[pl.DataFrame, pl.DataFrame]:
    folder: Path = tmp_path_factory.mktemp("frauds")
    settings = Settings(seed=5, events=8_000 * DAYS, duration_ms=DAYS * DAY_MS, episodes=episodes())
    write(simulate(settings), folder / "shop")
    (folder / "enrich.yaml").write_text(yaml.safe_dump(enrichment(folder / "shop")))
    flags = [f"--source={folder / 'shop' / 'events'}", f"--enrich={folder / 'enrich.yaml'}", "--detect=fraud"]
    flags += [f"--labels={folder / 'shop' / 'labels.jsonl'}", "--label_wait=1h", "--label_horizon=2d", "--dedup"]
    flags += [f"--alerts_per_day={BUDGET}", f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}"]
    assert anomaly_detection.main([*flags, "--warehouse=none", "--drain", "--progress=none"]) == 0
    found = pl.from_arrow(DeltaTable(str(folder / "lake" / "risk_scores")).to_pyarrow_table())
    assert isinstance(found, pl.DataFrame)
    labels = pl.read_ndjson(folder / "shop" / "labels.jsonl").select("transaction_id", "episode", "since")
    return found.join(labels, on="transaction_id", how="left"), labels


@pytest.mark.slow
def test_every_transaction_has_one_score_and_no_day_more_alerts_than_its_budget(scores):
    found, labels = scores
    assert found["transaction_id"].n_unique() == found.height
    assert labels["transaction_id"].is_in(found["transaction_id"].implode()).all()
    flagged = found.filter(pl.col("decision") == "flag")
    assert flagged.group_by(pl.col("event_time").dt.date()).len()["len"].max() <= BUDGET


@pytest.mark.slow
def test_planted_frauds_are_found_within_the_hour_once_labels_have_come(scores):
    found, _ = scores
    last = found.filter(pl.col("event_time").dt.epoch("ms") >= START + (DAYS - 1) * DAY_MS)
    flagged = last.filter(pl.col("decision") == "flag")
    hits = flagged.filter(pl.col("episode").is_not_null())
    assert set(hits["episode"]) == {"card_testing", "stolen_cards", "account_takeover"}
    first = hits.group_by("episode").agg(pl.col("event_time").min().dt.epoch("ms"), pl.col("since").first())
    since = first["since"].str.to_datetime(time_zone="UTC").dt.epoch("ms")
    assert ((first["event_time"] - since) < HOUR_MS).all()
    assert flagged.height - hits.height <= BUDGET // 2
