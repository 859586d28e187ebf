"""A job and all tools on an encrypted checkpoint and backup; keys that are missing, wrong, or new."""

import base64
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines import audit, checkpoint, deadletters, event_enrichment
from support.place import Place, printed, snapshot
from support.process import command

pytestmark = pytest.mark.slow

FLAGS = ("--dedup", "--max_records_per_epoch=700", "--keep_epochs=2")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for number, name in enumerate(("old", "new")):
        (folder / name).write_text(base64.b64encode(bytes([number]) * 32).decode())
    return [f"file:{folder / name}" for name in ("old", "new")]


def place(root, source, *keys: str):
    more = [f"--checkpoint_key={key}" for key in keys]
    return Place(root, source, (*FLAGS, f"--checkpoint_backup={root / 'backup'}", *more))


@pytest.fixture(scope="module")
def half(shop, keys, tmp_path_factory):
    """A run over half of the files with the old key; not to be written to."""
    root = tmp_path_factory.mktemp("encrypted")
    (root / "events").mkdir()
    for path in shop.files()[:2]:
        shutil.copy2(path, root / "events")
    made = place(root, root / "events", keys[0])
    assert made.run() == 0
    return made


@pytest.fixture
def copy(half, tmp_path):
    shutil.copytree(half.root, tmp_path / "copy", dirs_exist_ok=True)
    return tmp_path / "copy"


def test_every_file_of_checkpoint_and_backup_is_encrypted(half):
    files = [path for name in ("checkpoint", "backup") for path in (half.root / name).rglob("*") if path.is_file()]
    assert len(files) > 30
    clear = {path.name for path in files if not path.read_bytes().startswith(b"ecompulse-enc1\n")}
    assert clear == {"lock"}


def test_tools_read_it_with_its_key(half, keys, capsys, tmp_path):
    key = f"--checkpoint_key={keys[0]}"
    assert "committed epoch" in printed(capsys, checkpoint, "inspect", half.checkpoint, key)
    for part in ("checkpoint", "backup"):
        assert "all files of epoch" in printed(capsys, checkpoint, "verify", half.root / part, key)
    assert "every one is accounted for" in printed(capsys, audit, half.checkpoint, key)
    asked = ("replay", f"--checkpoint={half.checkpoint}", f"--lake={half.lake}", "--dry_run", key)
    assert "would be queued" in printed(capsys, deadletters, *asked)
    for verb, more in (("fork", ()), ("reshard", ("--num_shards=3",)), ("restore", ())):
        made = tmp_path / verb
        printed(capsys, checkpoint, verb, half.checkpoint, f"--to={made}", key, *more)
        assert all(path.read_bytes().startswith(b"ecompulse-enc1\n") for path in made.rglob("*") if path.is_file())
        assert "all files of epoch" in printed(capsys, checkpoint, "verify", made, key)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--checkpoint: {root}/checkpoint is encrypted; --checkpoint_key says where its key stands"),
        ([1], "--checkpoint_key: {root}/{part}/meta.json was encrypted with another key"),
        (["env:NOT_THERE"], "--checkpoint_key: environment variable NOT_THERE is not set"),
        (["my+secret+key"], "--checkpoint_key: wants the place, env:NAME or file:PATH, not what stands there"),
    ],
)
def test_a_key_that_is_missing_or_wrong_is_one_line_and_changes_nothing(copy, half, keys, wrong, given, said):
    named = [keys[key] if isinstance(key, int) else key for key in given]
    before = snapshot(copy)
    line = wrong(event_enrichment.main, *place(copy, half.source, *named).arguments())
    assert said.format(root=copy, part="checkpoint") in line
    for verb in ("inspect", "verify"):
        line = wrong(checkpoint.main, verb, str(copy / "checkpoint"), *(f"--checkpoint_key={key}" for key in named))
        assert said.format(root=copy, part="checkpoint") in line
    after = snapshot(copy)
    assert {name for name in after if after[name] != before.get(name)} <= {"checkpoint/lock"}
    assert before.keys() <= after.keys()


def test_a_clear_checkpoint_does_not_take_a_key_until_it_is_encrypted(shop, tmp_path, keys, wrong, capsys):
    clear = Place(tmp_path, shop.events, (*FLAGS, f"--checkpoint_backup={tmp_path / 'backup'}"))
    assert clear.run("--trigger=once") == 0
    capsys.readouterr()
    assert "is not encrypted" in wrong(event_enrichment.main, *clear.arguments(f"--checkpoint_key={keys[0]}"))
    printed(capsys, checkpoint, "restore", clear.checkpoint, f"--to={tmp_path / 'new'}", f"--to_key={keys[0]}")
    more = (f"--checkpoint={tmp_path / 'new'}", f"--checkpoint_backup={tmp_path / 'new_backup'}")
    assert clear.run("--drain", *more, f"--checkpoint_key={keys[0]}") == 0
    assert "every one is accounted for" in printed(capsys, audit, tmp_path / "new", f"--checkpoint_key={keys[0]}")


def test_the_key_is_changed_under_a_job_that_goes_on_with_equal_results(copy, half, shop, keys, capsys, tmp_path):
    both = place(copy, half.source, keys[1], keys[0])
    more = (f"--lake={half.lake}", f"--warehouse=sqlite:///{half.root / 'warehouse.db'}")
    for path in shop.files()[2:]:
        shutil.copy2(path, half.source)
    assert both.run("--drain", *more) == 0
    shutil.rmtree(copy / "checkpoint")
    restored = [str(copy / "backup"), f"--to={copy / 'checkpoint'}", *(f"--checkpoint_key={key}" for key in keys)]
    printed(capsys, checkpoint, "restore", *restored, f"--to_key={keys[1]}")
    assert "all files of epoch" in printed(
        capsys, checkpoint, "verify", copy / "checkpoint", f"--checkpoint_key={keys[1]}"
    )
    answer = Place(tmp_path / "answer", half.source, FLAGS)
    assert answer.run("--drain") == 0
    expected, found = answer.tables(), half.tables()
    assert found.keys() == expected.keys()
    for name in set(expected) - {"data_quality"}:
        assert_frame_equal(found[name], expected[name], check_row_order=False)


def test_a_changed_seal_and_a_state_file_in_anothers_place_are_named(copy, keys, capsys):
    seal = max((copy / "checkpoint" / "seals").iterdir())
    data = bytearray(seal.read_bytes())
    data[-1] ^= 1
    seal.write_bytes(data)
    key = f"--checkpoint_key={keys[0]}"
    assert f"{seal} is damaged" in printed(capsys, checkpoint, "verify", copy / "checkpoint", key, status=1)
    status, _, said = command("pipelines.checkpoint", "fork", str(copy / "checkpoint"), f"--to={copy / 'x'}", key)
    assert (status, said.count("\n")) == (1, 1)
    assert str(seal) in said


def test_rows_that_wait_without_a_lake_are_encrypted(shop, keys, tmp_path):
    made = place(tmp_path, shop.events, keys[0])
    assert made.run("--lake=none", f"--sink=jsonl:{tmp_path / 'lines'}", "--trigger=once") == 0
    waiting = [path for path in (tmp_path / "checkpoint" / "outputs").rglob("*") if path.is_file()]
    assert waiting
    assert all(path.read_bytes().startswith(b"ecompulse-enc1\n") for path in waiting)
    [lines] = (tmp_path / "lines").glob("enriched_events*.jsonl")
    assert pl.read_ndjson(lines, infer_schema_length=None).height > 100
