"""What would go wrong in silence is refused in a line that names the flag and the ways out."""

import json
import os
import shutil
import time

import pytest

from ecompulse.cli.patience import WallClock
from pipelines import audit, event_enrichment, session_analytics
from support.place import Place, printed, snapshot, timeless

HOUR = 3_600_000


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def event(number, event_id=None, event_time=None):
    return {
        "event_id": event_id or f"e{number}",
        "event_type": "search",
        "event_time": event_time or 1_772_323_200_000 + number,
        "user_id": "u",
    }


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


CSV = "event_id,event_type,event_time,user_id,price\na,page_view,2026-03-01T00:00:00Z,u,1\n"


@pytest.mark.parametrize(
    "sources",
    [
        ("a.jsonl", "."),
        ("*.jsonl", "a.jsonl"),
        ("a.jsonl", "link.jsonl"),
    ],
)
def test_what_two_sources_would_both_read(here, wrong, sources):
    write(here / "a.jsonl", [event(1)])
    write(here / "b.jsonl", [event(2)])
    (here / "link.jsonl").symlink_to(here / "a.jsonl")
    if "link.jsonl" not in sources:
        (here / "link.jsonl").unlink()
    said = wrong(event_enrichment.main, *(f"--source={source}" for source in sources))
    assert "--source: " in said
    assert f"both read {here / 'a.jsonl'}; name it once" in said
    assert not (here / "checkpoints").exists()


@pytest.mark.parametrize("again", ["a.jsonl", "./a.jsonl", "file://{}/a.jsonl"])
def test_what_is_given_twice(here, wrong, again):
    write(here / "a.jsonl", [event(1)])
    said = wrong(event_enrichment.main, "--source=a.jsonl", f"--source={again.format(here)}")
    assert f"{here / 'a.jsonl'} is given twice; name it once" in said


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_mapping_that_names_a_column_which_is_not_there(here, wrong, check):
    (here / "shop.csv").write_text(CSV)
    (here / "mine.yaml").write_text("fields: {price: prise}")
    said = wrong(event_enrichment.main, "--source=shop.csv", "--mapping=mine.yaml", *check)
    assert "shop.csv: has no column 'prise', which --mapping names for price, did you mean price?" in said


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_columns_that_are_no_events(here, wrong, check):
    (here / "other.csv").write_text("when,who,what\n1,u,view\n")
    said = wrong(session_analytics.main, "--source=other.csv", *check)
    assert "other.csv: has no column for event_id, which an event must have; see --mapping. It has when, who" in said


def test_a_header_alone_is_compared_too(here, wrong):
    (here / "other.csv").write_text("when,who,what\n")
    assert "has no column for event_id" in wrong(event_enrichment.main, "--source=other.csv", "--check")


def test_one_odd_file_among_others_is_named_and_does_not_stop_them(here, capsys):
    (here / "in").mkdir()
    (here / "in" / "a.csv").write_text(CSV)
    (here / "in" / "b.csv").write_text("foo,bar\n1,2\n")
    assert event_enrichment.main(["--source=in", "--progress=none"]) == 0
    assert f"{here / 'in' / 'b.csv'}: has no column for event_id" in capsys.readouterr().err
    printed(capsys, audit, "checkpoints/event_enrichment")


def test_columns_that_a_mapping_makes_up_for(here):
    (here / "other.csv").write_text("when,who,what\n2026-03-01T00:00:00Z,u,page_view\n")
    (here / "mine.yaml").write_text("{fields: {event_time: when, user_id: who, event_type: what}, event_id: hash}")
    assert event_enrichment.main(["--source=other.csv", "--mapping=mine.yaml", "--progress=none"]) == 0


def dead_share(here, dead, rows, flag="--epoch_attempts=3"):
    write(here / "events.jsonl", [event(n) if n >= dead else {"event_id": f"e{n}"} for n in range(rows)])
    return event_enrichment.main(["--source=events.jsonl", "--progress=none", "--warehouse=none", flag])


def test_input_that_is_mostly_bad_is_not_sealed(here, capsys):
    assert dead_share(here, 600, 1000) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--max_dead_ratio: " in said
    assert "600 of 1,000 rows are dead letters, and nothing of them was sealed: 600 missing_required (" in said
    assert not (here / "checkpoints" / "event_enrichment" / "seals").exists()
    assert dead_share(here, 600, 1000, "--max_dead_ratio=0.7") == 0


@pytest.mark.parametrize(("dead", "rows"), [(500, 1000), (998, 999)])
def test_half_of_many_or_most_of_a_few_rows_may_be_dead(here, dead, rows):
    assert dead_share(here, dead, rows) == 0


def test_all_rows_dead_is_said_wherever_the_output_goes(here, capsys):
    for progress in ("none", "json", "line"):
        assert dead_share(here, 3, 3, f"--progress={progress}") == 0
        assert "3 of 3 rows are dead letters; `deadletters list` says why\n" in capsys.readouterr().err
        shutil.rmtree(here / "checkpoints")
        shutil.rmtree(here / "lake")


def test_the_terminal_tells_good_rows_from_dead_ones(here, capsys):
    dead_share(here, 3, 10, "--progress=line")
    said = capsys.readouterr()
    assert "10 rows in (7 enriched_events, 3 dead_letters), " in said.out
    assert "3 of 10 rows are dead letters; `deadletters list` says why" in said.err


@pytest.fixture
def clock(monkeypatch):
    """Sets the machine's clock ahead, by ms."""
    shift = [0]
    monkeypatch.setattr(WallClock, "now", lambda _self: time.time_ns() // 1_000_000 + shift[0])
    return lambda by: shift.__setitem__(0, by)


def test_a_clock_that_was_ahead_lets_no_event_of_the_future_in(here, clock, capsys):
    now = time.time_ns() // 1_000_000
    write(here / "events.jsonl", [event(1), event(2, event_time=now + 23 * HOUR)])
    clock(24 * HOUR)
    assert event_enrichment.main(["--source=events.jsonl", "--progress=none"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--accept_clock: " in said
    assert "may be ahead" in said
    assert event_enrichment.main(["--source=events.jsonl", "--progress=none", "--accept_clock"]) == 0


def test_a_clock_that_is_behind_the_last_epoch_is_refused(here, clock, capsys):
    place = Place(here, here / "events.jsonl")
    write(here / "events.jsonl", [event(1)])
    clock(24 * HOUR)
    assert place.run() == 0
    clock(0)
    write(here / "events.jsonl", [event(1), event(2)])
    capsys.readouterr()
    assert place.run() == 2
    said = capsys.readouterr().err
    assert "--accept_clock: the clock says " in said
    assert "`checkpoint fork --epoch`" in said
    assert place.run("--accept_clock") == 0


def test_a_file_from_the_future_is_refused(here, capsys):
    write(here / "events.jsonl", [event(1)])
    later = time.time() + 3600
    os.utime(here / "events.jsonl", (later, later))
    assert event_enrichment.main(["--source=events.jsonl", "--progress=none"]) == 2
    assert "was written at" in capsys.readouterr().err


def test_an_epoch_that_is_wholly_late_says_so(here, capsys):
    place = Place(here, here / "events", job=session_analytics)
    (here / "events").mkdir()
    write(here / "events" / "1.jsonl", [event(n * HOUR) for n in range(50)])
    assert place.run() == 0
    write(here / "events" / "2.jsonl", [event(n, event_id=f"late{n}") for n in range(5)])
    capsys.readouterr()
    assert place.run("--progress=json") == 0
    assert "all 5 events were late: they are before the watermark" in capsys.readouterr().err


def test_two_instances_share_a_lake_and_a_warehouse(shop, tmp_path, capsys):
    """Each has its own rows, and the same ones as alone, but for their names."""
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    for name in ("north", "south"):
        for root in (shared, alone / name):
            place = Place(root, shop.events, (f"--instance={name}", f"--checkpoint={root / name}"))
            assert place.run("--drain") == 0
    for table in ("enriched_events", "dead_letters", "data_quality"):
        together = timeless(table, Place(shared, shop.events).raw(table))
        for name in ("north", "south"):
            mine = set(together.filter(instance=name)["id"].drop_nulls())
            assert mine == set(timeless(table, Place(alone / name, shop.events).raw(table))["id"].drop_nulls())
            assert all(identity.startswith(f"{name}:") for identity in mine)


def test_another_checkpoint_on_the_same_tables(shop, tmp_path, wrong, capsys):
    first = Place(tmp_path, shop.events)
    assert first.run("--drain") == 0
    before = first.tables()
    second = Place(tmp_path, shop.events, (f"--checkpoint={tmp_path / 'second'}",))
    said = wrong(event_enrichment.main, *second.arguments("--drain"))
    assert "holds rows of event_enrichment from another checkpoint" in said
    assert "--replace starts anew on the same tables, --instance=NAME keeps both side by side" in said
    assert second.run("--drain", "--instance=b") == 0, "the checkpoint that was refused has no epoch yet"
    second = Place(tmp_path, shop.events, (f"--checkpoint={tmp_path / 'third'}",))
    assert second.run("--drain", "--replace") == 0
    assert audit.main([str(first.checkpoint), "--brief"]) == 1
    assert "are those of another checkpoint" in capsys.readouterr().out
    printed(capsys, audit, tmp_path / "third")
    printed(capsys, audit, tmp_path / "second")
    both = {name: 2 * frame.height for name, frame in before.items()}  # those of instance b, and the new ones
    assert {name: frame.height for name, frame in second.tables().items()} == both
    said = wrong(event_enrichment.main, *first.arguments("--drain"))
    assert "another checkpoint" in said


def test_an_older_copy_of_a_checkpoint_is_refused_by_every_sink_and_the_backup(shop, tmp_path, wrong):
    """It would seal other epochs under numbers that are there already; nobody would take them."""
    backup = f"--checkpoint_backup={tmp_path / 'backup'}"
    lines = f"--sink=jsonl:{tmp_path / 'lines'}"
    place = Place(tmp_path, shop.events, (lines,))
    assert place.run(backup, "--trigger=once", "--max_records_per_epoch=300") == 0
    shutil.copytree(place.checkpoint, tmp_path / "older")
    assert place.run(backup, "--trigger=once", "--max_records_per_epoch=300") == 0
    shutil.copytree(tmp_path / "older", place.checkpoint, dirs_exist_ok=True)
    for folder in ("seals", "commits"):
        for file in (place.checkpoint / folder).iterdir():
            if not (tmp_path / "older" / folder / file.name).exists():
                file.unlink()
    before = snapshot(tmp_path / "lake")
    only = {
        "--lake: ": Place(tmp_path, shop.events, (lines,)).arguments(),
        "--warehouse: ": [*Place(tmp_path, shop.events).arguments(), "--lake=none"],
        "--sink: ": [*Place(tmp_path, shop.events, (lines,)).arguments(), "--lake=none", "--warehouse=none"],
        "--checkpoint_backup: ": [*Place(tmp_path, shop.events).arguments(backup), "--lake=none", "--warehouse=none"],
    }
    for flag, arguments in only.items():
        said = wrong(event_enrichment.main, *arguments)
        assert said.startswith(f"event_enrichment: {flag}")
        assert "it is an older copy" in said
    assert snapshot(tmp_path / "lake") == before


def test_a_copy_that_went_another_way_is_refused_by_the_backup(shop, tmp_path, wrong):
    backup = f"--checkpoint_backup={tmp_path / 'backup'}"
    place = Place(tmp_path, shop.events, ("--trigger=once", "--max_records_per_epoch=300", "--warehouse=none"))
    assert place.run(backup) == 0
    shutil.copytree(place.checkpoint, tmp_path / "copy")
    assert place.run(backup) == 0
    copy = f"--checkpoint={tmp_path / 'copy'}"
    assert place.run(copy, f"--lake={tmp_path / 'other'}") == 0
    said = wrong(event_enrichment.main, *place.arguments(backup, copy, f"--lake={tmp_path / 'other'}"))
    assert "another course of this checkpoint" in said
