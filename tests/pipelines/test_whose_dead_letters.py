"""Whose dead letters a replay takes: those of its checkpoint, in the lake that this one writes to."""

import json
import shutil

import pytest

from pipelines import deadletters, event_enrichment
from support.place import Place, printed

BAD = {"event_id": "e", "event_type": "search", "user_id": "u"}


def run(root, *flags: str, bad=2):
    """A job over a few rows without a time."""
    root.mkdir(parents=True)
    (root / "in.jsonl").write_text(
        "".join(json.dumps({**BAD, "event_id": f"{root.name}{n}"}) + "\n" for n in range(bad))
    )
    place = Place(root, root / "in.jsonl", flags)
    assert place.run() == 0
    return place


def queued(capsys, place, *flags: str):
    return printed(capsys, deadletters, "replay", f"--checkpoint={place.checkpoint}", *flags).split()[0]


def test_without_a_lake_it_is_the_one_of_the_checkpoint(tmp_path, monkeypatch, capsys):
    mine, _ = run(tmp_path / "mine"), run(tmp_path / "work", bad=5)
    monkeypatch.chdir(tmp_path / "work")  # where ./lake is another's
    assert queued(capsys, mine, "--dry_run") == "2"
    assert queued(capsys, mine, f"--lake={mine.lake}") == "2"


def test_the_lake_of_another_checkpoint_is_refused(tmp_path, wrong):
    mine, other = run(tmp_path / "mine"), run(tmp_path / "other")
    said = wrong(deadletters.main, "replay", f"--checkpoint={mine.checkpoint}", f"--lake={other.lake}")
    assert said.startswith(f"deadletters: --lake: the dead letters of event_enrichment in {other.lake} are of another ")
    assert not (mine.checkpoint / "replay").exists()


def test_a_checkpoint_without_a_lake_asks_for_one(tmp_path, wrong):
    place = run(tmp_path / "mine", "--lake=none", "--sink=jsonl:" + str(tmp_path / "lines"))
    said = wrong(deadletters.main, "replay", f"--checkpoint={place.checkpoint}")
    assert said == f"deadletters: --lake: {place.checkpoint} has written to no lake; give the one with its dead letters"


def test_other_instances_on_the_same_lake_keep_theirs(tmp_path, capsys):
    lake = f"--lake={tmp_path / 'lake'}"
    one = run(tmp_path / "one", lake, "--instance=one")
    two = run(tmp_path / "two", lake, "--instance=two", bad=3)
    assert (queued(capsys, one), queued(capsys, two)) == ("2", "3")


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--rule=mising_required", "--rule: 'mising_required' is none, did you mean missing_required?"),
        ("--job=event_enrichmnt", "--job: 'event_enrichmnt' is none, did you mean event_enrichment?"),
        ("--day=2025-13-01", "--day: '2025-13-01' is no date such as 2026-03-01"),
    ],
)
def test_what_can_be_none_is_refused(tmp_path, wrong, flag, said):
    place = run(tmp_path / "mine")
    for verb in ("list", "show"):
        assert wrong(deadletters.main, verb, f"--lake={place.lake}", flag) == f"deadletters: {said}"


def test_what_could_be_but_is_not_is_an_empty_table(tmp_path, capsys):
    place = run(tmp_path / "mine")
    for flag in ("--rule=broken_csv", "--job=realtime_metrics", "--day=2020-01-01"):
        assert printed(capsys, deadletters, "list", f"--lake={place.lake}", flag, "--format=json") == ""


def test_rows_of_a_lake_that_was_taken_over_are_anothers(tmp_path, wrong):
    mine = run(tmp_path / "mine")
    shutil.copytree(mine.checkpoint, tmp_path / "kept")
    shutil.rmtree(mine.checkpoint)
    assert event_enrichment.main(mine.arguments("--replace")) == 0
    said = wrong(deadletters.main, "replay", f"--checkpoint={tmp_path / 'kept'}")
    assert f"not of {tmp_path / 'kept'}; give the lake of this one, or the checkpoint of that" in said
