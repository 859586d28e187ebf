"""Control characters of data reach no terminal through tables, lines of tools and jobs, or progress."""

import json
import re

import polars as pl
import pytest

from ecompulse.cli.report import reporter
from ecompulse.cli.tool import print_facts, print_table
from support.process import Shop, command, write_lines

EVIL = "\x1b]0;x\x07\x9b2J\u202ecod\r\n"
SHOWN = r"\x1b]0;x\x07\x9b2J\u202ecod\r\n"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"a": [EVIL, None]}),
        pl.DataFrame({EVIL: [1]}),
        pl.DataFrame({"^.*$": [EVIL]}),
        pl.DataFrame({"a": [[EVIL], None]}),
        pl.DataFrame({"a": [{"b": EVIL, "c": [{"d": EVIL}]}, None]}),
        pl.DataFrame({"a": pl.Series([[EVIL, ""]], dtype=pl.Array(pl.String, 2))}),
        pl.DataFrame({"a": pl.Series([EVIL, None], dtype=pl.Categorical)}),
        pl.DataFrame({"a": pl.Series([EVIL], dtype=pl.Enum([EVIL]))}),
    ],
    ids=["text", "name", "pattern", "list", "struct", "array", "categorical", "enum"],
)
def test_tables(frame, capsys):
    print_table(frame)
    out = capsys.readouterr().out
    assert not OBEYED.search(out)
    assert SHOWN in out
    assert len(out.splitlines()) == frame.height + 4


def test_tables_keep_nulls_and_numbers(capsys):
    print_table(pl.DataFrame({"n": [1, None], "s": [{"b": "x"}, None], "t": ["x", None]}))
    assert [line.split()[1:-1] for line in capsys.readouterr().out.splitlines()[3:5]] == [
        ["1", '{"x"}', "x"],
        ["null", "null", "null"],
    ]


def test_facts(capsys):
    print_facts([(f"  {EVIL}", f"set aside: {EVIL}")])
    out = capsys.readouterr().out
    assert out.count(SHOWN) == 2
    assert not OBEYED.search(out)


def test_progress(capsys):
    progress = {
        "batchId": 1, "numInputRows": 1, "accounts": {EVIL: 1}, "sink": {"numOutputRows": 1, "tables": {}},
        "processedRowsPerSecond": 1.0, "durationMs": {"total": 1}, "eventTime": {"watermark": EVIL}, "backlog": 0,
        "counts": {"events": 1},
    }  # fmt: skip
    reporter("line")(progress)
    out = capsys.readouterr().out.removeprefix("\r\x1b[K")
    assert out.count(SHOWN) == 2
    assert not OBEYED.search(out)


def test_a_job_and_its_tools_on_hostile_rows_and_names(tmp_path):
    name = "evil\x1b[31m\u202e.jsonl"
    rows = [{"event_id": EVIL, "event_type": "page_view", "event_time": "2026-03-01T10:00:00Z", "user_id": EVIL}]
    bad = {"event_id": "b", "event_type": "page_view", "event_time": EVIL, "user_id": "u"}
    write_lines(tmp_path / "in" / name, [json.dumps(row) for row in (*rows, bad)])
    with (tmp_path / "in" / name).open("a") as file:
        file.write('{"event_id": "waits')
    shop = Shop(tmp_path / "shop", tmp_path / "in", ("--num_shards=1", "--progress=line"))
    said = [command(shop.module, *shop.arguments())]
    lake = f"--lake={shop.root / 'lake'}"
    said += [
        command("pipelines.show", "enriched_events", lake, "--columns=event_id,user_id"),
        command("pipelines.show", "dead_letters", lake),
        command("pipelines.deadletters", "show", lake),
        command("pipelines.deadletters", "list", lake),
        command("pipelines.audit", str(shop.root / "checkpoint")),
        command(shop.module, *shop.arguments("--check")),
    ]
    for status, out, err in said:
        assert status == 0, err
        assert not OBEYED.search(re.sub("\r\x1b\\[K", "", out) + err)
    assert r"evil\x1b[31m\u202e.jsonl: its last 19 bytes wait" in said[0][2]
    assert SHOWN in said[1][1]
    status, out, err = command("pipelines.show", f"no{EVIL}", lake)
    assert (status, err.count("\n")) == (2, 1)
    assert SHOWN in err
    found = command("pipelines.show", "enriched_events", lake, "--columns=user_id", "--format=json")[1]
    assert json.loads(found) == {"user_id": EVIL}, "JSON is JSON"
