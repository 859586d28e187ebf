"""The job on the simulator's frauds: each kind is found once labels have come, and not at any price."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from ecompulse.cli.demo import enrichment
from ecompulse.simulator.frauds import each_day
from ecompulse.simulator.settings import DAY_MS, HOUR_MS, Settings, instant
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from pipelines import anomaly_detection
from support.script import comparable
from support.topics import Topics

DAYS = 6
BUDGET = 40
START = instant(Settings().start)
PAYMENT = re.compile(r'"payment_id": ?"(\w+)"')


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> tuple[pl.DataFrame, pl.DataFrame]:
    folder: Path = tmp_path_factory.mktemp("frauds")
    settings = Settings(seed=5, events=8_000 * DAYS, duration_ms=DAYS * DAY_MS, episodes=each_day(DAYS))
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


@pytest.mark.heavy("a whole job three times, and a broker")
@pytest.mark.slow
def test_labels_of_a_topic_and_of_a_table_are_those_of_the_file(shop, kafka, tmp_path):
    ids = sorted({match for file in shop.files() for match in PAYMENT.findall(file.read_text(errors="ignore"))})
    moment = pl.datetime(2025, 9, 1) + pl.duration(hours=14, seconds=pl.int_range(pl.len()))
    labels = pl.DataFrame({"transaction_id": ids}).with_columns(
        label=pl.int_range(pl.len()) % 2, label_time=moment.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), source=pl.lit("review")
    )
    labels.write_ndjson(tmp_path / "labels.jsonl")
    labels.write_delta(tmp_path / "labels")
    topics = Topics(kafka.facts["bootstrap"])
    topic = topics.make()
    topics.send(topic, [json.dumps(row).encode() for row in labels.to_dicts()])
    topics.close()
    found = []
    given = [tmp_path / "labels.jsonl", tmp_path / "labels", f"kafka://{topics.bootstrap}/{topic}", None]
    for name, uri in zip("abcd", given, strict=True):
        flags = [f"--source={shop.events}", "--detect=fraud", "--label_wait=1h", *([f"--labels={uri}"] if uri else [])]
        flags += ["--learn_every=1h", "--warehouse=none", "--progress=none", "--trigger=available-now", "--drain"]
        where = tmp_path / name
        assert anomaly_detection.main([*flags, f"--lake={where / 'lake'}", f"--checkpoint={where / 'c'}"]) == 0
        table = pl.from_arrow(DeltaTable(str(where / "lake" / "risk_scores")).to_pyarrow_table())
        assert isinstance(table, pl.DataFrame)
        found.append(comparable(table))
    assert not found[3].equals(found[0])
    assert_frame_equal(found[1], found[0])
    assert_frame_equal(found[2], found[0])


@pytest.mark.slow
def test_other_models_run_too_and_a_checkpoint_keeps_those_that_it_has(shop, tmp_path, capsys):
    (tmp_path / "models.yaml").write_text("{unsupervised: half_space_trees, online: river_logistic, boosted: none}")
    flags = [
        f"--source={shop.events}",
        "--detect=fraud",
        f"--lake={tmp_path / 'lake'}",
        f"--checkpoint={tmp_path / 'c'}",
    ]
    flags += ["--warehouse=none", "--progress=none", "--max_records_per_epoch=900", "--epoch_attempts=1"]
    with_models = [*flags, f"--models={tmp_path / 'models.yaml'}"]
    assert anomaly_detection.main([*with_models, "--trigger=once"]) == 0
    capsys.readouterr()
    assert anomaly_detection.main([*flags, "--drain"]) == 1
    said = capsys.readouterr().err
    assert "unsupervised model of the checkpoint is half_space_trees, --models asks for none" in said
    assert said.count("\n") == 1
    assert anomaly_detection.main([*with_models, "--learn_every=1h"]) == 2
    assert 'was made with learn_every "600000 ms", not "3600000 ms"' in capsys.readouterr().err
    assert anomaly_detection.main([*with_models, "--drain"]) == 0
    found = pl.from_arrow(DeltaTable(str(tmp_path / "lake" / "risk_scores")).to_pyarrow_table())
    assert isinstance(found, pl.DataFrame)
    assert found["transaction_id"].n_unique() == found.height > 0
    assert found["score"].n_unique() > 1


@pytest.mark.slow
def test_a_drain_between_two_days_changes_nothing_though_all_labels_are_there(tmp_path):
    """The labels of the second day's transactions, later than any event, are there on the first."""
    settings = Settings(seed=5, events=8_000, duration_ms=2 * DAY_MS, episodes=each_day(2))
    write(simulate(settings), tmp_path / "shop")
    days = sorted((tmp_path / "shop" / "events").iterdir())
    flags = [f"--labels={tmp_path / 'shop' / 'labels.jsonl'}", "--label_wait=1h", "--label_horizon=2d", "--drain"]
    flags += ["--alerts_per_day=20", "--warehouse=none", "--progress=none", "--learn_every=1h", "--detect=fraud"]
    found = []
    for name, cuts in (("whole", [len(days)]), ("cut", [len(days) // 2, len(days)])):
        folder = tmp_path / name
        (folder / "events").mkdir(parents=True)
        for cut in cuts:
            for file in days[:cut]:
                (folder / "events" / file.name).write_bytes(file.read_bytes())
            where = [f"--source={folder / 'events'}", f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}"]
            assert anomaly_detection.main([*flags, *where]) == 0
        tables = {name: pl.read_delta(str(folder / "lake" / name)) for name in ("risk_scores", "flagged_transactions")}
        found.append({name: comparable(table) for name, table in tables.items()})
    assert found[0]["flagged_transactions"].height
    for name, table in found[0].items():
        assert_frame_equal(found[1][name], table)


@pytest.mark.slow
def test_odd_input_stops_neither_detector_and_is_told(tmp_path, capsys):
    first = {"event_time": "2025-03-01T00:00:00Z", "user_id": "u", "event_type": "page_view"}
    bought = {"event_type": "purchase", "order_id": "o", "price": 300, "quantity": 4006381333931}
    times = [f"2025-03-01T{hour:02}:00:00Z" for hour in (6, 8, 9, 10, 11, 12)]
    rows = [
        first | bought,
        *({**first, "event_time": time} for time in times),
        first,
        {**first, "event_time": times[-1]},
    ]
    lines = [json.dumps({"event_id": f"e{n}", **row}) for n, row in enumerate(rows)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    flags = [f"--source={tmp_path / 'events.jsonl'}", f"--lake={tmp_path / 'lake'}", f"--checkpoint={tmp_path / 'c'}"]
    flags += ["--drain", "--warehouse=none", "--progress=none", "--max_records_per_epoch=1", "--num_shards=1"]
    assert anomaly_detection.main(flags) == 0
    said = capsys.readouterr().err.splitlines()
    assert "anomaly_detection: no payment is out yet of 9 rows; --transactions=purchase scores purchases" in said
    assert any("1 of 9 rows were late" in line for line in said)
    assert pl.read_delta(str(tmp_path / "lake" / "late_events"))["event_id"].to_list() == ["e7"]
    flags = [*flags[:1], f"--lake={tmp_path / 'more'}", f"--checkpoint={tmp_path / 'd'}", *flags[3:]]
    assert anomaly_detection.main([*flags, "--transactions=purchase", "--detect=fraud"]) == 0
    assert pl.read_delta(str(tmp_path / "more" / "risk_scores"))["transaction_id"].to_list() == ["o"]
