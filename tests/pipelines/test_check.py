"""`--check` shows what the first rows become, and touches nothing."""

import re

import pytest

from pipelines import anomaly_detection, event_enrichment, session_analytics
from support.place import Place, snapshot
from support.process import REES46


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(text):
    """First and second cell of each line of the tables on the terminal."""
    return dict(re.findall(r"^\| (\S+) +(\d+) ", text, re.MULTILINE))


@pytest.mark.parametrize("job", [event_enrichment, session_analytics], ids=lambda job: job.SPEC.name)
def test_mapped_columns_and_dead_letters_are_shown_and_nothing_is_made(shop, place, capsys, job):
    lines = [
        '{"event_id": "a", "event_type": "page_view", "event_time": "2026-03-01T00:00:00Z", "user_id": "u1"}',
        '{"event_id": "b", "event_type": "search", "event_time": "2026-03-01T00:00:01Z", "user_id": "u2", "x": 1}',
        '{"event_id": "c", "event_type": ',
        '{"event_id": "d", "event_type": "page_view", "user_id": "u1"}',
        '{"event_id": "e", "event_type": "page_view", "user_id": "u1"}',
    ]
    (place / "events.jsonl").write_text("\n".join(lines) + "\n")
    before = snapshot(place)
    assert job.main(["--source=events.jsonl", "--check"]) == 0
    said = capsys.readouterr().out
    assert "5 rows: 2 good, 3 dead letters" in said
    shown = rows_of(said)
    assert {name: shown[name] for name in ("event_id", "event_time", "user_id", "properties")} == {
        "event_id": "2",
        "event_time": "2",
        "user_id": "2",
        "properties": "1",
    }
    assert "price" not in shown, "no row fills it"
    assert (shown["missing_required"], shown["broken_json"]) == ("2", "1")
    assert "event_time is missing" in said
    assert said.endswith(f"{job.SPEC.name}: flags, mapping and files are good; nothing was written\n")
    assert snapshot(place) == before


def test_no_more_than_a_hundred_rows_are_decoded(place, capsys):
    line = '{{"event_id": "{}", "event_type": "search", "event_time": "2026-03-01T00:00:00Z", "user_id": "u"}}\n'
    (place / "events.jsonl").write_text("".join(line.format(number) for number in range(300)))
    assert event_enrichment.main(["--source=events.jsonl", "--check"]) == 0
    assert "100 rows: 100 good, 0 dead letters" in capsys.readouterr().out


def test_an_existing_checkpoint_and_lake_are_left_alone(shop, place, capsys):
    made = Place(place, shop.events)
    assert made.run() == 0
    before = snapshot(place)
    assert not {"warehouse.db-wal", "warehouse.db-shm"} & before.keys(), "a job that has ended keeps no connection"
    assert made.run("--check") == 0
    assert snapshot(place) == before


def test_a_mapping_that_is_anothers_is_wrong_use(shop, place, wrong):
    before = snapshot(place)
    line = wrong(event_enrichment.main, f"--source={shop.events}", "--mapping=rees46", "--check")
    assert re.search(r"none of the first \d+ rows is good: .*; see --mapping", line)
    assert snapshot(place) == before


def events_of(place, kinds, name="event_type"):
    lines = [
        f'{{"event_id": "{n}", "{name}": "{kind}", "event_time": "2026-03-01T00:00:00Z", "user_id": "u"}}\n'
        for n, kind in enumerate(kinds)
    ]
    (place / "events.jsonl").write_text("".join(lines))


def checked(capsys, *flags: str):
    assert session_analytics.main(["--source=events.jsonl", "--check", *flags]) == 0
    said = capsys.readouterr().out
    assert "\\n" not in said
    return said


def test_event_types_that_no_job_knows_are_counted(place, capsys):
    events_of(place, ["buy", "buy", "page_view", "Purchase"])
    said = "  3 of the first 4 good rows have an unknown event_type: buy (2), Purchase (1); event_types of "
    assert said in checked(capsys)
    events_of(place, ["page_view", "purchase"])
    assert "unknown event_type" not in checked(capsys)
    events_of(place, [f"t{n}" for n in range(7)])
    assert "t0 (1), t1 (1), t2 (1), t3 (1), t4 (1) and 2 others; " in checked(capsys)


def test_translations_that_no_row_uses_are_named(place, capsys):
    events_of(place, ["buy", "view", "page_view"], "action")
    (place / "mine.yaml").write_text("{fields: {event_type: action}, event_types: {buy: purchase, veiw: product_view}}")
    said = checked(capsys, "--mapping=mine.yaml")
    assert "1 of the first 3 good rows have an unknown event_type: view (1)" in said
    assert "  event_types of --mapping: none of the first 3 rows has veiw\n" in said
    (place / "mine.yaml").write_text("{fields: {event_type: action}, event_types: {buy: purchase, view: product_view}}")
    assert "event_types" not in checked(capsys, "--mapping=mine.yaml")


def test_an_empty_folder_has_no_row_yet(place, capsys):
    (place / "events").mkdir()
    assert event_enrichment.main(["--source=events", "--check"]) == 0
    assert "no complete row yet" in capsys.readouterr().out


def test_update_streams_are_shown_as_what_they_are(shop, place, capsys):
    (place / "enrich.yaml").write_text("steps: {user: {columns: {country: text}}}\n")
    flags = ["--enrich=enrich.yaml", f"--user_updates={shop.folder / 'user_updates.jsonl'}", "--check"]
    assert event_enrichment.main([f"--source={shop.events}", *flags]) == 0
    assert "user_updates.jsonl: the first rows as user_updates" in capsys.readouterr().out


def test_labels_are_read_as_labels_and_their_flag_is_named(shop, place, capsys, wrong):
    label = '{"transaction_id": "a", "label": 1, "label_time": "2025-09-01T00:00:00Z"}'
    (place / "labels.jsonl").write_text(f"{label}\n")
    assert anomaly_detection.main([f"--source={shop.events}", "--labels=labels.jsonl", "--check"]) == 0
    assert "1 rows: 1 good, 0 dead letters" in capsys.readouterr().out
    (place / "labels.jsonl").write_text(label.replace("1,", "7,") + "\n")
    line = wrong(anomaly_detection.main, f"--source={shop.events}", "--labels=labels.jsonl", "--check")
    assert line.startswith("anomaly_detection: --labels: ")
    assert "labels.jsonl: none of the first 1 rows is good: label: 7 is none of 0, 1" in line


@pytest.mark.skipif(not REES46.exists(), reason=f"{REES46} is not there")
def test_foreign_data_is_shown_as_events(place, capsys):
    assert event_enrichment.main([f"--source={REES46}", "--mapping=rees46", "--check"]) == 0
    said = capsys.readouterr().out
    assert "100 rows: 100 good, 0 dead letters" in said
    assert rows_of(said)["currency"] == "100", "the mapping's default"
    assert list(place.iterdir()) == []
