"""A source that would read what its own job writes is refused; a pattern that cannot is not."""

import json

import pytest

from pipelines import event_enrichment, session_analytics

EVENT = {"event_id": "e1", "event_type": "page_view", "event_time": "2026-03-01T00:00:00Z", "user_id": "u1"}
ELSEWHERE = ("--checkpoint=../elsewhere/c", "--lake=../elsewhere/l", "--warehouse=none")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a file of one event in it, and one in a folder."""
    folder = tmp_path / "work"
    (folder / "in").mkdir(parents=True)
    for name in ("a.jsonl", "in/b.jsonl"):
        (folder / name).write_text(json.dumps(EVENT) + "\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("check", [(), ("--check",)])
@pytest.mark.parametrize(
    ("flags", "flag", "place"),
    [
        (["--source=."], "checkpoint", "checkpoints/event_enrichment"),
        (["--source=.", "--checkpoint=../elsewhere"], "lake", "lake"),
        (["--source=.", *ELSEWHERE, "--warehouse=sqlite:///shop.db"], "warehouse", "shop.db"),
        (["--source=.", *ELSEWHERE, "--sink=jsonl:out"], "sink", "out"),
        (["--source=.", *ELSEWHERE, "--checkpoint_backup=saved"], "checkpoint_backup", "saved"),
        (["--source=in", *ELSEWHERE, "--lake=in"], "lake", "in"),
        (["--source=*", "--checkpoint=../elsewhere", "--warehouse=none"], "lake", "lake"),
        (["--source=**/*.json*", "--checkpoint=../elsewhere"], "lake", "lake"),
        (["--source=**/*.jsonl", "--sink=jsonl:out"], "sink", "out"),
        (["--source=link", *ELSEWHERE, "--lake=in/lake"], "lake", "in/lake"),
    ],
)
def test_a_source_that_holds_what_the_job_writes(here, wrong, flags, flag, place, check):
    (here / "link").symlink_to(here / "in")
    said = wrong(event_enrichment.main, *flags, *check)
    assert said.startswith("event_enrichment: --source: ")
    assert f": the job's own --{flag}, {here / place}, is among it; " in said
    assert not {"checkpoints", "lake", "out", "saved", "shop.db"} & {path.name for path in here.iterdir()}


@pytest.mark.parametrize(
    "flags",
    [
        ["--source=*.jsonl"],
        ["--source=in"],
        ["--source=in/*.jsonl", "--lake=in"],
        ["--source=in", *ELSEWHERE, "--lake=in/.lake", "--checkpoint=in/_checkpoint"],
        ["--source=*.jsonl", "--sink=jsonl:out"],
    ],
)
def test_a_source_beside_what_the_job_writes(here, flags):
    assert event_enrichment.main([*flags, "--check"]) == 0


def test_files_of_another_job_in_the_same_lake_or_folder_may_be_read(here):
    assert event_enrichment.main(["--source=in", "--sink=jsonl:out", "--progress=none"]) == 0
    for source in ("lake/enriched_events/*/*.parquet", "out/enriched_events-*.jsonl"):
        assert session_analytics.main([f"--source={source}", "--sink=jsonl:out", "--check"]) == 0
