"""A file is known by what was read of it, whatever its name, inode and times: never read on in another one's middle."""

import gzip
import os
import shutil

import polars as pl
import pytest

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.listing import list_files
from ecompulse.io.files.source import FileSource

ROWS = [f'{{"event_id": "e{n}", "text": "{n * 7919}"}}'.encode() for n in range(200)]


def lines(rows):
    return b"".join(row + b"\n" for row in rows)


class Follower:
    """A source that is read again and again, each time by a new process."""

    def __init__(self, place, max_rows=1000) -> None:
        self.place, self.max_rows, self.positions = place, max_rows, {}

    def read(self, epochs=100):
        source, found = FileSource(str(self.place), 0), []
        for _ in range(epochs):
            backlog = source.plan(self.positions, self.max_rows, {}, whole=False)
            if not backlog.splits:
                break
            for split in backlog.splits:
                for batch in source.reader().read(split):
                    found += batch["raw"].to_list() if "raw" in batch.columns else batch["n"].to_list()
            self.positions.update(backlog.positions)
        return found


def rewritten(rows):
    return [row.replace(b'"e', b'"f') for row in rows]


@pytest.mark.parametrize(
    "after",
    [
        lines(rewritten(ROWS)),
        lines(rewritten(ROWS) * 2),
        lines(ROWS[:50] + rewritten(ROWS[:150])),
        lines(ROWS[:199]) + b"x" * len(ROWS[199]) + b"\n",
        lines(rewritten(ROWS))[:-1],
        lines(ROWS[100:]),
        b"",
    ],
    ids=["same size", "larger", "the same beginning", "only the last row", "one byte less", "the end of it", "empty"],
)
@pytest.mark.parametrize("max_rows", [1000, 120])
def test_a_file_that_was_rewritten_in_place_is_refused(tmp_path, after, max_rows):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(ROWS))
    follower = Follower(tmp_path, max_rows)
    assert follower.read(epochs=2) == ROWS
    path.write_bytes(after)
    os.utime(path, (1, 1))
    with pytest.raises(JobError, match=r"a\.jsonl (changed after it was read|shrank)"):
        follower.read()


def test_a_file_that_was_rewritten_while_it_was_begun_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(ROWS))
    follower = Follower(tmp_path, 50)
    assert follower.read(epochs=2) == ROWS[:100]
    path.write_bytes(lines(rewritten(ROWS) * 3))
    with pytest.raises(JobError, match=r"a\.jsonl changed after it was begun"):
        follower.read()


@pytest.mark.parametrize("kind", ["jsonl.gz", "parquet"])
def test_a_closed_file_that_was_rewritten_is_refused_also_at_its_size(tmp_path, kind):
    path = tmp_path / f"a.{kind}"

    def write(first):
        if kind == "parquet":
            pl.DataFrame({"n": [first, *range(10, 100)]}).write_parquet(path, compression="uncompressed")
        else:
            path.write_bytes(gzip.compress(b"%d\n" % first * 50, 0, mtime=0))

    write(1)
    follower = Follower(tmp_path)
    assert follower.read()
    size = path.stat().st_size
    write(2)
    assert path.stat().st_size == size
    with pytest.raises(JobError, match="changed after it was read"):
        follower.read()


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz"])
def test_a_file_that_was_copied_or_touched_is_the_same(tmp_path, kind):
    path, copy = tmp_path / f"a.{kind}", tmp_path / "copy"
    path.write_bytes(gzip.compress(lines(ROWS)) if kind.endswith("gz") else lines(ROWS[:100]))
    follower = Follower(path)
    assert len(follower.read()) >= 100
    shutil.copy(path, copy)
    if kind == "jsonl":
        copy.write_bytes(lines(ROWS))
    copy.replace(path)
    os.utime(path, (5, 5))
    assert follower.read() == (ROWS[100:] if kind == "jsonl" else [])


def test_logs_that_are_rotated_are_followed(tmp_path):
    """log -> log.1 -> log.2, and lines that came to the old one after it was last read."""
    follower, log = Follower(tmp_path), tmp_path / "log.jsonl"
    log.write_bytes(lines(ROWS[:40]))
    assert follower.read() == ROWS[:40]
    with log.open("ab") as more:
        more.write(lines(ROWS[40:60]))
    log.rename(tmp_path / "log.1.jsonl")
    log.write_bytes(lines(ROWS[60:70]))
    assert sorted(follower.read()) == sorted(ROWS[40:70])
    (tmp_path / "log.1.jsonl").rename(tmp_path / "log.2.jsonl")
    log.rename(tmp_path / "log.1.jsonl")
    assert follower.read() == []
    log.write_bytes(lines(ROWS[70:]))
    assert follower.read() == ROWS[70:]
    assert follower.read() == []


def test_links_and_other_cases_of_a_suffix_are_read_and_a_file_with_two_names_once(tmp_path):
    folder, far = tmp_path / "in", tmp_path / "far"
    (folder / "sub").mkdir(parents=True)
    far.mkdir()
    for place, name in ((folder / "sub", "a.jsonl"), (far, "b.JSONL"), (far, "EXPORT.CSV"), (far, "c.Parquet")):
        (place / name).write_bytes(b"x\n")
    (folder / "linked").symlink_to(far)
    (folder / "ring").symlink_to(folder)
    (folder / "latest.jsonl").symlink_to(folder / "sub" / "a.jsonl")
    (folder / "nowhere.jsonl").symlink_to(folder / "gone.jsonl")
    os.link(folder / "sub" / "a.jsonl", folder / "sub" / "z.jsonl")
    found = [file.path.removeprefix(f"{folder}/") for file in list_files(str(folder), "name")]
    assert found == ["linked/EXPORT.CSV", "linked/b.JSONL", "linked/c.Parquet", "sub/a.jsonl"]
    assert len(list_files(f"{tmp_path}/*", "name")) == 4


@pytest.mark.parametrize("name", ["a.JSONL", "A.Jsonl.GZ", "a.CSV", "b.csv.Gz"])
def test_the_case_of_a_suffix_says_nothing(tmp_path, name):
    content = (b"h\n" if "csv" in name.lower() else b"") + b"one\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    assert Follower(tmp_path).read() == [b"one"]


def test_a_name_is_no_pattern(tmp_path):
    for number, name in enumerate(["a[1].parquet", "b*.parquet", "c?.parquet", "n=7", "d {x}.parquet"]):
        path = tmp_path / name / "x.parquet" if name == "n=7" else tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pl.DataFrame({"n": [number]}).write_parquet(path)
    assert sorted(Follower(tmp_path).read()) == [0, 1, 2, 3, 4]


def test_what_waits_for_its_line_end_is_told(tmp_path):
    for name, content in {"a.jsonl": b"one\ntw", "b.csv": b"id,na", "c.jsonl": b"one\n"}.items():
        (tmp_path / name).write_bytes(content)
    waiting = FileSource(str(tmp_path), 0).plan({}, 100, {}, whole=False).notes["waiting"]
    assert waiting == {str(tmp_path / "a.jsonl"): 2, str(tmp_path / "b.csv"): 5}
    assert "waiting" not in FileSource(str(tmp_path), 0).plan({}, 100, {}, whole=True).notes
