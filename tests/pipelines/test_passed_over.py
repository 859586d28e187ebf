"""Files of a source folder that are not read for their suffix are named: by `--check`, and once per run."""

import json
import os

import pytest

from pipelines import event_enrichment
from support.place import Place, snapshot

EVENT = {"event_id": "e1", "event_type": "page_view", "event_time": "2026-03-01T00:00:00Z", "user_id": "u1"}
OTHERS = ("d.zip", "b.log", "sub/c.txt", "e.tmp.gz", ".hidden.log", "_SUCCESS", "_tmp/f.log")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in" / "_tmp").mkdir(parents=True)
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(json.dumps(EVENT) + "\n")
    return Place(tmp_path, tmp_path / "in")


def add(place, names):
    for name in names:
        (place.source / name).write_text("{}\n")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            OTHERS,
            "4 files of {} are passed over for their suffix: b.log, d.zip, e.tmp.gz, ... (name them in a pattern ",
        ),
        (["sub/c.txt"], "1 file of {} is passed over for its suffix: sub/c.txt (name it in a pattern to read it)"),
    ],
)
def test_they_are_counted_and_named_once(place, capsys, names, said):
    add(place, names)
    said = said.format(place.source)
    assert place.run("--check") == 0
    assert capsys.readouterr().out.count(f"\n  {said}") == 1
    for number in range(2):
        (place.source / f"a{number}.jsonl").write_text(json.dumps({**EVENT, "event_id": f"n{number}"}) + "\n")
        assert place.run("--max_files_per_epoch=1") == 0
        err = capsys.readouterr().err
        assert err.startswith(f"event_enrichment: {said}")
        assert err.count("\n") == 1


def test_what_is_no_file_is_named_and_does_not_hold_up_the_others(place, capsys):
    (place.source / "b.jsonl").symlink_to(place.source / "nowhere")
    os.mkfifo(place.source / "c.jsonl")
    assert place.run("--drain") == 0
    said = capsys.readouterr().err
    assert said == (
        f"event_enrichment: 2 files of {place.source} are passed over, a broken link or a pipe: b.jsonl, c.jsonl\n"
    )


def test_a_pattern_that_names_them_reads_them(place, capsys):
    add(place, ["b.log"])
    (place.source / "b.log").write_text(json.dumps(EVENT) + "\n")
    assert Place(place.root, place.source / "*.log").run("--check") == 0
    said = capsys.readouterr().out
    assert "1 rows: 1 good" in said
    assert "passed over" not in said


@pytest.mark.parametrize("flag", ["--check", "--drain"])
def test_a_folder_of_nothing_else_is_wrong_use(place, wrong, flag):
    (place.source / "a.jsonl").rename(place.source / "a.log")
    before = snapshot(place.root)
    line = wrong(event_enrichment.main, *place.arguments(flag))
    assert line.startswith(f"event_enrichment: --source: nothing is read: 1 file of {place.source} is passed over for ")
    assert snapshot(place.root) == before


def test_a_run_that_may_see_more_later_says_it_and_ends_well(place, capsys):
    (place.source / "a.jsonl").rename(place.source / "a.log")
    assert place.run() == 0
    said = capsys.readouterr().err
    assert said.startswith(f"event_enrichment: 1 file of {place.source} is passed over for its suffix: a.log ")
    assert said.count("\n") == 1


def test_a_drained_run_after_its_files_were_removed_goes_on(place, capsys):
    add(place, ["b.log"])
    assert place.run() == 0
    (place.source / "a.jsonl").unlink()
    assert place.run("--drain") == 0
    assert "is passed over" in capsys.readouterr().err
