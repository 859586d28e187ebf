"""`show`: tables, rows and columns of a lake, as text, JSON lines and CSV."""

import base64
import csv
import io
import json

import polars as pl
import pytest
from deltalake import write_deltalake

from ecompulse.cli import show
from support.place import printed


def test_show_lists_tables_with_their_rows(done, capsys):
    lines = printed(capsys, show, f"--lake={done.lake}").splitlines()
    cells = {line.split()[1]: line.split()[2] for line in lines if line.startswith("|")}
    for name in ("enriched_events", "dead_letters", "data_quality"):
        assert int(cells[name]) == done.raw(name).height


def test_show_chooses_rows_and_columns(done, capsys):
    out = printed(
        capsys,
        show,
        "enriched_events",
        f"--lake={done.lake}",
        "--where=event_type = 'purchase'",
        "--columns=event_type, event_id",
        "--limit=1000",
        "--format=json",
    )
    rows = [json.loads(line) for line in out.splitlines()]
    bought = done.raw("enriched_events").filter(pl.col("event_type") == "purchase")
    assert sorted(row["event_id"] for row in rows) == sorted(bought["event_id"])
    assert {tuple(row) for row in rows} == {("event_type", "event_id")}
    assert bought.height > 5


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_show_limits_rows(done, capsys, limit):
    out = printed(capsys, show, "enriched_events", f"--lake={done.lake}", f"--limit={limit}", "--format=json")
    assert len(out.splitlines()) == limit


def test_show_prints_a_table_of_twenty_rows(done, capsys):
    out = printed(capsys, show, "dead_letters", f"--lake={done.lake}", "--columns=rule,message")
    assert out.splitlines()[1].split() == ["|", "rule", "message", "|"]
    assert len(out.splitlines()) == 20 + 4


def test_show_gives_the_bytes_of_dead_letters_in_json_and_csv(done, capsys):
    raw = sorted(done.raw("dead_letters")["raw"])
    asked = ("dead_letters", f"--lake={done.lake}", "--limit=1000")
    as_json = [json.loads(line) for line in printed(capsys, show, *asked, "--format=json").splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(printed(capsys, show, *asked, "--format=csv"))))
    assert sorted(base64.b64decode(row["raw"]) for row in as_json) == raw
    assert sorted(base64.b64decode(row["raw"]) for row in as_csv) == raw
    assert len(raw) > 20


def test_show_gives_nested_values_as_json_text_in_csv(tmp_path, capsys):
    lines = [[{"product_id": "p1", "quantity": 2}], [], None]
    frame = pl.DataFrame({"lines": lines, "id": ["a", "b", "c"], "at": {"x": 1, "y": None}})
    write_deltalake(f"{tmp_path}/carts", frame.to_arrow())
    asked = ("carts", f"--lake={tmp_path}")
    as_json = [json.loads(line) for line in printed(capsys, show, *asked, "--format=json").splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(printed(capsys, show, *asked, "--format=csv"))))
    assert [json.loads(row["lines"] or "null") for row in as_csv] == [row["lines"] for row in as_json] == lines
    assert [json.loads(row["at"]) for row in as_csv] == [row["at"] for row in as_json]
    assert [row["id"] for row in as_csv] == ["a", "b", "c"]


def test_show_names_what_is_wrong(done, wrong):
    place = f"--lake={done.lake}"
    there = ", ".join(sorted(path.name for path in done.lake.iterdir()))
    assert wrong(show.main, "events", place) == f"show: events: no such table in {done.lake}; there are: {there}"
    assert wrong(show.main, "dead_letters", place, "--where=rul = 'x'").startswith("show: --where: ")
    assert "nonsense" in wrong(show.main, "dead_letters", place, "--where=nonsense(rule)")
    assert '"colour"' in wrong(show.main, "dead_letters", place, "--columns=rule,colour")
