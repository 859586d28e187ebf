"""`status`: all jobs at a glance, for people and for programs."""

import json
import subprocess
import sys

import pytest

from ecompulse.cli import status
from support.place import printed


def test_it_tells_of_every_checkpoint_below_a_folder(done, capsys):
    [told] = [json.loads(line) for line in printed(capsys, status, str(done.root), "--json").splitlines()]
    assert (told["job"], told["pending"]) == ("event_enrichment", False)
    assert told["state"] in {"running", "stopped"}  # a lock counts as held for some seconds after its last beat
    assert told["epoch"] == told["epochs"][0]["epoch"]
    assert told["dead_letters"] == done.raw("dead_letters").height
    assert told["watermark"].startswith("2025-")
    assert told["committed_ms_ago"] > 0
    assert told["watermark_gap_ms"] > 0
    assert told["sources"]
    assert sum(epoch["rows"] for epoch in told["epochs"]) > 1000


def test_people_see_a_table_that_fits_a_hundred_columns(done, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    out = printed(capsys, status, str(done.checkpoint), "--epochs=1")
    assert "event_enrichment" in out
    assert "Last epochs" in out
    assert "Sources" in out
    assert "events" in out
    assert max(map(len, out.splitlines())) <= 100
    assert "Last epochs" not in printed(capsys, status, str(done.checkpoint), "--epochs=0")


def test_a_reader_that_goes_early_is_no_bad_job(done):
    tool = subprocess.Popen(
        [sys.executable, "-m", "ecompulse", "status", str(done.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with tool:
        tool.stdout.close()
        assert (tool.stderr.read(), tool.wait()) == (b"", 0)


@pytest.mark.parametrize(("age", "expected"), [("100d", 0), ("1ms", 1)])
def test_a_job_that_is_silent_for_too_long_is_exit_status_1(done, age, expected):
    assert status.main([str(done.checkpoint), f"--max_age={age}", "--json"]) == expected


def test_a_checkpoint_that_cannot_be_read_is_named(done, tmp_path, capsys):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "meta.json").write_text("{")
    assert status.main([str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "unreadable"


def test_nothing_there_is_wrong_use(tmp_path, wrong):
    assert wrong(status.main, str(tmp_path / "none")) == f"status: {tmp_path / 'none'}: holds no checkpoint"


def test_names_that_rich_or_a_terminal_would_obey_are_shown_as_they_are(tmp_path, capsys):
    folder = tmp_path / "[red]x\x1b]0;"
    folder.mkdir()
    (folder / "meta.json").write_text("{")
    assert status.main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "[red]x" in out.replace("\n", "")
    assert "\x1b]0;" not in out
