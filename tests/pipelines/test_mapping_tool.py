"""`mapping init` drafts what `--check` takes; `show` and `list` are of the shipped mappings."""

import json

import polars as pl
import pytest

from ecompulse.kernels.mapping import parse_mapping, shipped_mappings
from pipelines import event_enrichment
from support.process import command

LINES = [{"sku": "a", "qty": 1, "unit_price": "1.50"}, {"sku": "b", "qty": 2, "unit_price": "2.00"}]
ORDER = {"id": 1, "created_at": "2024-05-01T10:00:00Z", "customer": {"id": 7}, "total_price": 5.5, "lines": LINES}
CLICKS = 'visitor;ts;action;item;preis\nv1;1714557600;view;a;"1.234,50"\nv2;1714557601000;buy;b;"2,00 €"\n'

FILES = {
    "orders.json": (json.dumps({"orders": [ORDER, {**ORDER, "id": 2}]}), 6),
    "events.jsonl": (
        json.dumps({"uuid": "1", "event": "view", "ts": "2024-05-01 10:00:00", "user": {"id": "u"}, "items": LINES})
        + "\n"
        + json.dumps({"uuid": "2", "event": "login", "ts": "2024-05-01 10:00:00", "user": {"id": "u"}, "items": []}),
        3,
    ),
    "clicks.csv": (CLICKS.replace("visitor", "visitor_id").replace("preis", "price"), 2),
}


@pytest.mark.parametrize("name", FILES)
def test_a_draft_reads_the_file_that_it_is_of(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text, events = FILES[name]
    (tmp_path / name).write_text(text, "utf-8")
    status, drafted, _ = command("pipelines.mapping", "init", name)
    assert status == 0
    parse_mapping(drafted)
    (tmp_path / "own.yaml").write_text(drafted, "utf-8")
    assert event_enrichment.main([f"--source={name}", "--mapping=own.yaml", "--check"]) == 0
    said = capsys.readouterr().out
    assert f"2 rows: {events} {'events' if events > 2 else 'good'}, 0 dead letters" in said
    assert said.count("\n  < ") == 2
    assert "seems to be written" not in said


def test_a_draft_of_parquet(tmp_path):
    pl.DataFrame([ORDER]).write_parquet(tmp_path / "o.parquet")
    status, drafted, _ = command("pipelines.mapping", "init", str(tmp_path / "o.parquet"))
    assert status == 0
    assert parse_mapping(drafted).shapes[0].explode == "lines[]"


def test_a_damaged_file_gives_no_draft(tmp_path):
    (tmp_path / "o.parquet").write_bytes(b"PAR1 and nothing else")
    status, drafted, said = command("pipelines.mapping", "init", str(tmp_path / "o.parquet"))
    assert (status, drafted) == (2, "")
    assert said.startswith("mapping: FILE: ")
    assert "no complete Parquet file" in said


def test_check_guesses_the_format_and_names_fields_that_stay_empty(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clicks.csv").write_text(CLICKS, "utf-8")
    assert event_enrichment.main(["--source=clicks.csv", "--check"]) == 2
    assert (
        "clicks.csv: seems to be written so (a guess, for the mapping): format: {delimiter: ;}"
        in capsys.readouterr().out
    )
    fields = "{event_type: action, event_time: ts, anonymous_id: visitor, product_id: item, url: [page, link]}"
    (tmp_path / "own.yaml").write_text(
        f"format: {{delimiter: ;}}\nfields: {fields}\ntime: {{unit: auto}}\nevent_id: hash\nskip: [{{action: buy}}]\n"
        "events: [{fields: {brand: [maker, by]}}, {when: {action: ship}, fields: {brand: [vendor, by]}}]\n"
    )
    assert event_enrichment.main(["--source=clicks.csv", "--mapping=own.yaml", "--check"]) == 0
    said = capsys.readouterr().out
    assert "no row fills url (page or link), brand (maker or by or vendor)\n" in said
    assert "2 rows: 1 events, 0 dead letters, 1 skipped" in said


def test_shipped_mappings_are_listed_and_shown(tmp_path):
    status, listed, _ = command("pipelines.mapping", "list")
    assert status == 0
    assert [line.split()[0] for line in listed.splitlines()] == shipped_mappings()
    status, shown, _ = command("pipelines.mapping", "show", "ga4")
    assert status == 0
    assert parse_mapping(shown).help.startswith("Google Analytics 4")
    assert command("pipelines.mapping", "show", "ga5")[0] == 2
    assert command("pipelines.mapping", "init", str(tmp_path / "none.csv"))[0] == 2
