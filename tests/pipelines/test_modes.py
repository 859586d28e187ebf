"""Who may read what a job leaves on a disk: checkpoint and backup its user alone, tables whoever the umask lets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecompulse.io.lock import DriverLock
from ecompulse.io.stores import LocalStore
from support.process import Shop, events, write_lines


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """The umask of most machines."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, set[str]]:
    """Modes of the files and of the folders from a root down."""
    found: dict[str, set[str]] = {"files": set(), "folders": set()}
    for path in (root, *root.rglob("*")):
        found["folders" if path.is_dir() else "files"].add(f"{path.stat().st_mode & 0o777:o}")
    return found


PRIVATE = {"files": {"600"}, "folders": {"700"}}
USUAL = {"files": {"644"}, "folders": {"755"}}


@pytest.mark.parametrize("lake", [True, False], ids=["lake", "no-lake"])
def test_checkpoint_staged_rows_and_backup_are_private_and_tables_are_not(tmp_path, lake):
    write_lines(tmp_path / "in" / "1.jsonl", events(120))
    shop = Shop(
        tmp_path / "shop", tmp_path / "in", ("--num_shards=2", "--progress=none", "--dedup", "--match_payments"),
        backup=True,
    )  # fmt: skip
    assert shop.run_here("--drain", "--max_records_per_epoch=50", *(() if lake else ("--lake=none",)))[0] == 0
    for private in ("checkpoint", "backup"):
        assert modes(shop.root / private) == PRIVATE
        assert any((shop.root / private / "state").rglob("*.*"))
    if not lake:
        assert any((shop.root / "checkpoint" / "outputs").rglob("*.parquet"))
    public = [name for name in ("lake", "lines", "warehouse.db") if (shop.root / name).exists()]
    assert len(public) == (3 if lake else 2)
    for name in public:
        found = modes(shop.root / name)
        assert found["files"] == USUAL["files"]
        assert found["folders"] <= USUAL["folders"]
    assert modes(shop.root)["folders"] == {"755", "700"}, "folders above are made as usual"
    assert shop.root.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", ["a", "deep/er/a"])
def test_what_a_store_makes_is_private_whatever_the_umask(tmp_path, name):
    for umask, root in ((0o000, "open"), (0o022, "usual"), (0o077, "closed")):
        os.umask(umask)
        store = LocalStore(str(tmp_path / "new" / root))
        store.create(f"created/{name}", b"1")
        store.put(f"put/{name}", b"1")
        assert modes(Path(store.root)) == PRIVATE


def test_the_folder_of_a_user_keeps_its_mode(tmp_path):
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    LocalStore(str(there)).put("a/b", b"1")
    assert there.stat().st_mode & 0o777 == 0o755
    assert modes(there / "a") == PRIVATE


def test_the_lock_is_private(tmp_path):
    lock = DriverLock(tmp_path / "new" / "checkpoint")
    lock.acquire()
    lock.release()
    assert modes(tmp_path / "new" / "checkpoint") == PRIVATE
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755


def test_a_store_that_others_read_has_the_modes_of_the_umask(tmp_path):
    for umask, file, folder in ((0o022, "644", "755"), (0o027, "640", "750")):
        os.umask(umask)
        store = LocalStore(str(tmp_path / file), private=False)
        store.put("a/b", b"1")
        assert modes(Path(store.root)) == {"files": {file}, "folders": {folder}}
