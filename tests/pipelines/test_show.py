"""`show`: tables, rows and columns of a lake, as text, JSON lines and CSV."""

import base64
import csv
import io
import json
import shlex
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from ecompulse.cli import show
from support.place import printed

README = Path(__file__).parents[2] / "README.md"


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


def test_show_prints_a_table_of_twenty_rows(done, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert show.main(["dead_letters", f"--lake={done.lake}", "--columns=rule,message"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split() == ["|", "rule", "message", "|"]
    assert len(said.out.splitlines()) == 20 + 4
    assert said.err == "show: the first 20 rows; --limit=N for more\n"


@pytest.mark.parametrize("asked", [("enriched_events",), ("enriched_events", "--group=event_id"),
                                   ("--sql=SELECT * FROM enriched_events",)])  # fmt: skip
def test_a_cut_that_nobody_asked_for_is_said_and_files_are_whole(done, capsys, asked):
    rows = done.raw("enriched_events").height
    asked = [*asked, f"--lake={done.lake}"]
    assert show.main([*asked, "--format=record"]) == 0
    said = capsys.readouterr()
    assert said.err == "show: the first 20 rows; --limit=N for more\n"
    assert (said.out.count("\n-- 20 --\n"), said.out.count(" of ")) == (1, 0)
    assert len(printed(capsys, show, *asked, "--format=json").splitlines()) == rows
    assert len(list(csv.reader(io.StringIO(printed(capsys, show, *asked, "--format=csv"))))) == rows + 1
    assert printed(capsys, show, *asked, "--format=record", "--limit=2").count("\n-- 2 --\n") == 1
    assert f"-- {rows} of {rows} --" in printed(capsys, show, *asked, "--format=record", f"--limit={rows}")


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
    assert wrong(show.main, "dead_leters", place).endswith(f"no such table in {done.lake}, did you mean dead_letters?")
    known = ", ".join(sorted(path.name for path in done.lake.iterdir()))
    assert wrong(show.main, "orders", place) == f"show: orders: no such table in {done.lake}; known: {known}"
    assert wrong(show.main, "dead_letters", place, "--where=rul = 'x'").startswith("show: --where: ")
    assert "nonsense" in wrong(show.main, "dead_letters", place, "--where=nonsense(rule)")
    assert '"colour"' in wrong(show.main, "dead_letters", place, "--columns=rule,colour")


def json_of(capsys, *asked: str):
    return [json.loads(line) for line in printed(capsys, show, *asked, "--format=json").splitlines()]


@pytest.mark.parametrize("columns", ["60", "100", "140"])
def test_rows_that_are_wider_than_the_screen_are_records_and_no_line_of_them_says_nothing(
    done, capsys, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", columns)
    out = printed(capsys, show, "enriched_events", f"--lake={done.lake}", "--limit=2").splitlines()
    assert out[0] == "-- 1 --"
    assert out.count("-- 2 --") == 1
    names = [line.split()[0] for line in out if not line.startswith("-- ")]
    assert {"event_id", "event_time", "without"} <= set(names)
    assert not [line for line in out if line.endswith("None")]
    narrow = printed(capsys, show, "enriched_events", f"--lake={done.lake}", "--columns=event_type", "--limit=2")
    assert narrow.startswith("+")


def test_the_first_example_of_the_readme_fits_a_hundred_columns(done, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    [line, *_] = [line for line in README.read_text().splitlines() if "pipelines.show" in line]
    words = shlex.split(line)[3:]
    out = printed(capsys, show, *words, f"--lake={done.lake}")
    assert out.startswith("+")
    assert max(map(len, out.splitlines())) <= 100


def test_rows_come_in_the_order_that_is_asked_for(done, capsys):
    asked = ("enriched_events", f"--lake={done.lake}", "--limit=50", "--columns=price,event_id")
    prices = [row["price"] for row in json_of(capsys, *asked, "--order=price desc nulls last, event_id")]
    known = sorted(done.raw("enriched_events")["price"].drop_nulls(), reverse=True)
    assert [float(price) for price in prices] == [float(price) for price in known[:50]]


def test_rows_are_counted_by_columns_the_most_first(done, capsys):
    found = json_of(capsys, "enriched_events", f"--lake={done.lake}", "--group=event_type, currency", "--limit=1000")
    expected = done.raw("enriched_events").group_by("event_type", "currency").len().rows()
    assert {(row["event_type"], row.get("currency"), row["rows"]) for row in found} == set(expected)
    counts = [row["rows"] for row in found]
    assert counts == sorted(counts, reverse=True)


def test_a_whole_query_reads_tables_and_their_rows_as_they_stand(done, capsys):
    sql = "SELECT rule, count(*) AS n FROM dead_letters JOIN (SELECT 1) ON true GROUP BY rule ORDER BY rule"
    found = json_of(capsys, f"--lake={done.lake}", f"--sql={sql}")
    expected = done.raw("dead_letters").group_by("rule").len().sort("rule").rows()
    assert [(row["rule"], row["n"]) for row in found] == expected
    [row] = json_of(capsys, f"--lake={done.lake}", "--sql=SELECT count(*) AS n FROM data_quality_latest")
    assert row["n"] == done.raw("data_quality").n_unique("id")
    assert len(json_of(capsys, "data_quality_latest", f"--lake={done.lake}", "--limit=1000000")) == row["n"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--sql=SELECT x FROM dead_letters",), "--sql: "),
        (("--sql=SELECT * FROM read_csv('/etc/passwd')",), "--sql: "),
        (("--sql=DROP TABLE dead_letters",), "--sql: "),
        (("dead_letters", "--sql=SELECT 1"), "--sql: names its tables itself"),
        (("dead_letters", "--order=nothing"), "--order: "),
        (("--where=rule = 'x'",), "--where: of which table? name it, as in "),
        (("--columns=rule", "--format=json"), "--columns: of which table?"),
        (("--order=rule",), "--order: of which table?"),
        (("--group=rule",), "--group: of which table?"),
        (("--limit=3",), "--limit: of which table?"),
        (("--sql=SELECT 1", "--where=true"), "--where: does not go with --sql"),
        (("dead_letters", "--group=nothing"), "--group: "),
        (("dead_letters", "--group=rule", "--columns=rule"), "--group: gives its own columns"),
    ],
)
def test_queries_that_cannot_be_are_a_line(done, wrong, asked, said):
    assert said in wrong(show.main, *asked, f"--lake={done.lake}")


@pytest.mark.parametrize("asked", [(), ("sessions",)])
def test_a_lake_that_is_not_there_is_an_error(tmp_path, wrong, asked):
    assert str(tmp_path / "none") in wrong(show.main, *asked, f"--lake={tmp_path / 'none'}")
