"""The tools that look at and mend what jobs made: checkpoint, lake."""

import os
import shutil
import time
from datetime import timedelta

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from ecompulse.epochs import state
from pipelines import alerts, audit, checkpoint, lake
from support.place import Place, printed, snapshot, timeless

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def half(shop, tmp_path_factory):
    """A run over the first two files of four; not to be written to."""
    root = tmp_path_factory.mktemp("half")
    (root / "events").mkdir()
    for path in shop.files()[:2]:
        shutil.copy2(path, root / "events")
    place = Place(root, root / "events", ("--dedup",))
    assert place.run() == 0
    return place


@pytest.fixture(scope="module")
def answer(shop, tmp_path_factory):
    """What an undisturbed run makes of all four files, each event by its file's name."""
    return told(Place(tmp_path_factory.mktemp("answer"), shop.events, ("--dedup",)), ran=True)


def told(place, *, ran=False):
    """Tables of a place, with the names of source files in place of their paths, and without what goes by the hour.

    Ids of dead letters are left out: they are made of those paths.
    """
    if ran:
        assert place.run("--drain") == 0
    source = pl.col("source").str.split("/").list.last()
    tables = {name: timeless(name, frame) for name, frame in place.tables().items()}
    if "dead_letters" in tables:
        tables["dead_letters"] = tables["dead_letters"].drop("id")
    named = {name: frame.with_columns(source) for name, frame in tables.items() if "source" in frame.columns}
    return {name: named.get(name, frame) for name, frame in tables.items()}


@pytest.fixture
def copy(half, shop, tmp_path):
    """The half run again, to work on; the other two files come with `arrive`."""
    made = Place(tmp_path / "copy", half.source, half.flags)
    shutil.copytree(half.checkpoint, made.checkpoint)
    shutil.copytree(half.lake, made.lake)
    shutil.copy2(half.root / "warehouse.db", made.root)
    assert made.run() == 0  # so that its sinks are its own
    yield made
    for path in shop.files()[2:]:
        (half.source / path.name).unlink(missing_ok=True)


@pytest.fixture
def arrive(half, shop):
    def come():
        for path in shop.files()[2:]:
            shutil.copy2(path, half.source)

    return come


def check(found, answer):
    assert found.keys() == answer.keys()
    for name, expected in answer.items():
        assert_frame_equal(found[name], expected, check_row_order=False)


def test_inspect_shows_epoch_watermark_and_state(done, capsys):
    out = printed(capsys, checkpoint, "inspect", done.checkpoint)
    facts = dict(line.split("  ", 1) for line in out.splitlines() if not line.startswith(("|", "+")))
    epochs = len(list((done.checkpoint / "commits").iterdir()))
    assert facts["committed epoch"].strip() == str(epochs)
    assert facts["sealed, not committed"].strip() == "none"
    assert f"lake:{done.lake}" in facts["sinks"]
    assert "| dedup " in out
    assert "| data_quality " in out
    by_shard = printed(capsys, checkpoint, "inspect", done.checkpoint, "--shards")
    assert by_shard.count("\n") > out.count("\n")


def test_verify_finds_nothing_wrong_and_changes_nothing(done, capsys):
    before = snapshot(done.checkpoint)
    assert "all files of epoch" in printed(capsys, checkpoint, "verify", done.checkpoint)
    assert snapshot(done.checkpoint) == before


def test_damaged_and_missing_state_is_named_and_nothing_is_published(copy, arrive, capsys, monkeypatch):
    dedup = copy.checkpoint.glob("state/dedup/*/*.arrow")
    damaged, missing = max(dedup), max(copy.checkpoint.glob("state/data_quality/*/*.arrow"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    missing.unlink()
    lines = printed(capsys, checkpoint, "verify", copy.checkpoint, status=1).splitlines()
    assert len(lines) == 2
    assert {str(damaged.name) in line for line in lines} == {True, False}
    assert {str(missing.name) in line for line in lines} == {True, False}
    before = told(copy)
    arrive()
    monkeypatch.setattr(state, "_cache", state.StateCache())  # as in a new process
    assert copy.run("--drain") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert damaged.name in said or missing.name in said
    check(told(copy), before)


def test_a_fork_refuses_the_old_lake_and_goes_on_with_another(copy, arrive, answer, capsys, tmp_path):
    forked = Place(tmp_path / "forked", copy.source, copy.flags)
    printed(capsys, checkpoint, "fork", copy.checkpoint, f"--to={forked.checkpoint}")
    before = told(copy)
    arrive()
    assert forked.run("--drain", f"--lake={copy.lake}") == 2
    said = capsys.readouterr().err
    assert f"lake:{copy.lake}: the checkpoint that {forked.checkpoint} was forked from writes there" in said
    check(told(copy), before)
    first = told(copy)["enriched_events"]
    rest = told(forked, ran=True)["enriched_events"]
    check({"enriched_events": pl.concat([first, rest])}, {"enriched_events": answer["enriched_events"]})
    check(told(copy, ran=True), answer)  # the old one goes on as if there were no other


def test_a_fork_can_start_from_an_earlier_epoch_that_is_kept(done, capsys, wrong, tmp_path):
    printed(capsys, checkpoint, "fork", done.checkpoint, f"--to={tmp_path / 'first'}", "--epoch=1")
    out = printed(capsys, checkpoint, "inspect", tmp_path / "first")
    assert next(line for line in out.splitlines() if line.startswith("committed epoch")).endswith(" 1")
    assert printed(capsys, checkpoint, "verify", tmp_path / "first")
    within = wrong(checkpoint.main, "fork", str(done.checkpoint), f"--to={done.checkpoint / 'sub'}")
    assert within.endswith("must lie apart, none within the other")
    never = wrong(checkpoint.main, "fork", str(done.checkpoint), f"--to={tmp_path / 'never'}", "--epoch=99")
    assert "epoch 99 is not committed, or is no longer kept" in never
    assert not (tmp_path / "never").exists()
    full = wrong(checkpoint.main, "fork", str(done.checkpoint), f"--to={tmp_path / 'first'}")
    assert f"--to: {tmp_path / 'first'} is not empty; choose another" in full


@pytest.mark.parametrize("shards", [1, 5])
def test_reshard_goes_on_with_equal_results(copy, arrive, answer, capsys, shards):
    target = copy.root / "resharded"
    printed(capsys, checkpoint, "reshard", copy.checkpoint, f"--to={target}", f"--num_shards={shards}")
    assert printed(capsys, checkpoint, "verify", target)
    arrive()
    assert copy.run("--drain", f"--checkpoint={target}") == 2, "the number of shards is the new one"
    assert f"was made with num_shards {shards}, not 2" in capsys.readouterr().err
    assert copy.run("--drain", f"--checkpoint={target}", f"--num_shards={shards}") == 0
    check(told(copy), answer)


def test_a_place_that_is_a_file_is_wrong_use(done, wrong, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for tool, *flags in ((checkpoint, "inspect"), (checkpoint, "verify"), (alerts, "log"), (audit,)):
        said = wrong(tool.main, *flags, str(file))
        assert said.endswith(f": {file} is a file, not the directory of a checkpoint")
    for verb, *flags in (("fork",), ("reshard", "--num_shards=3"), ("restore",)):
        said = wrong(checkpoint.main, verb, str(done.checkpoint), f"--to={file}", *flags)
        assert said == f"checkpoint: --to: {file}: {file} is a file, not a directory"


def test_reshard_to_no_shards_is_wrong_use(done, wrong, tmp_path):
    line = wrong(checkpoint.main, "reshard", str(done.checkpoint), f"--to={tmp_path / 'to'}", "--num_shards=0")
    assert line == "checkpoint: --num_shards: must be above zero"
    assert not (tmp_path / "to").exists()


def test_compact_and_vacuum_keep_the_tables_and_the_job_goes_on(copy, arrive, answer, capsys):
    arrive()
    assert copy.run("--max_records_per_epoch=400") == 0
    files = parquet(copy)
    before = told(copy)
    out = printed(capsys, lake, "compact", f"--lake={copy.lake}")
    assert "enriched_events: " in out
    check(told(copy), before)
    assert parquet(copy) > files, "what was compacted stays for readers of older versions"
    printed(capsys, lake, "vacuum", f"--lake={copy.lake}")
    assert parquet(copy) >= files, "within a week nothing goes"
    printed(capsys, lake, "vacuum", "--keep_hours=0", f"--lake={copy.lake}")
    referred = {str(copy.lake / name / uri) for name in before for uri in relative_files(copy, name)}
    assert {str(path) for path in parquet(copy)} == referred
    check(told(copy), before)
    check(told(copy, ran=True), answer)


def test_vacuum_removes_old_files_of_runs_that_were_never_sealed(copy, capsys):
    folder = next(path.parent for path in parquet(copy) if path.is_relative_to(copy.lake / "enriched_events"))
    old, young = folder / "00000009-0001.0001-orphan.parquet", folder / "00000009-0002.0001-running.parquet"
    for path in (old, young):
        path.write_bytes(b"of a run that never was sealed")
    long_ago = time.time() - timedelta(days=8).total_seconds()
    os.utime(old, (long_ago, long_ago))
    before = told(copy)
    assert "1 files removed" in printed(capsys, lake, "vacuum", "enriched_events", f"--lake={copy.lake}")
    assert (old.exists(), young.exists()) == (False, True)
    check(told(copy), before)


def parquet(place):
    return set(place.lake.rglob("*.parquet"))


def relative_files(place, name):
    table = DeltaTable(str(place.lake / name))
    return pl.DataFrame(table.get_add_actions(flatten=True))["path"].to_list()
