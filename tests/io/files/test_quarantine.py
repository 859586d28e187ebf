"""One bad file does not stop its folder: it is a dead letter, and is tried again when it changes."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from ecompulse.cli import audit
from ecompulse.cli.sources import first_rows
from ecompulse.epochs.errors import JobError
from ecompulse.io.files.source import FileSource
from ecompulse.kernels.decode import decode
from support.process import Shop, events

ROWS = [line.encode() + b"\n" for line in events(400)]
WHOLE = gzip.compress(b"".join(ROWS), mtime=0)


def parquet(path: Path) -> bytes:
    lines = [line for number, line in enumerate(ROWS) if number % 25 != 24]  # whose price is a number
    pl.read_ndjson(b"".join(lines)).write_parquet(path)
    data = path.read_bytes()
    path.unlink()
    return data


BAD = {
    "cut.jsonl.gz": lambda _: WHOLE[: len(WHOLE) // 2],
    "rubbish.jsonl.gz": lambda _: WHOLE + b"rubbish",
    "flipped.jsonl.gz": lambda _: WHOLE[:2000] + b"\0" * 40 + WHOLE[2040:],
    "no.jsonl.gz": lambda _: b"no gzip at all",
    "no.csv.gz": lambda _: b"no gzip at all",
    "empty.jsonl.gz": lambda _: b"",
    "empty.parquet": lambda _: b"",
    "cut.parquet": lambda path: parquet(path)[:500],
    "no.parquet": lambda _: b"PAR1 no table PAR1",
}


def read(source, backlog):
    return pl.concat(
        [decode(batch, 1_800_000_000_000).dead for split in backlog.splits for batch in source.reader().read(split)]
    )


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_dead_letter_and_the_good_ones_go_on(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name](tmp_path / "made.parquet"))
    (tmp_path / "z.jsonl").write_bytes(b"".join(ROWS[:3]))
    source = FileSource(str(tmp_path), 0)
    first = source.plan({}, 10_000, {}, whole=True)
    assert [split.uri for split in first.splits if Path(split.uri).name == "z.jsonl"]
    assert first.left == 0
    letters = read(source, first).filter(pl.col("rule") == "unreadable_file")
    assert letters["source"].to_list() == [str(tmp_path / name)]
    assert list(first.notes["unreadable"]) == [str(tmp_path / name)]
    for again in (source, FileSource(str(tmp_path), 0)):
        assert not again.plan(first.positions, 10_000, {}, whole=True).splits
    with pytest.raises(JobError, match=name):
        FileSource(str(tmp_path), 0, on_bad_file="stop").plan({}, 10_000, {}, whole=True)


@pytest.mark.parametrize("most", [7, 100, 10_000])
@pytest.mark.parametrize("cut", [0, 1, 100, len(WHOLE) // 2, len(WHOLE) - 1])
def test_an_upload_that_comes_to_its_end_is_read_once_whatever_the_cut(tmp_path, most, cut):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(WHOLE[:cut])
    positions, rows, letters = {}, 0, 0
    source = FileSource(str(tmp_path), 0)
    for data in (WHOLE[:cut], WHOLE):
        path.write_bytes(data)
        while (backlog := source.plan(positions, most, {}, whole=True)).splits:
            positions = {**positions, **backlog.positions}
            letters += sum(bool(split.fault) for split in backlog.splits)
            rows += sum(split.rows for split in backlog.splits if not split.fault)
    assert (rows, letters) == (400, 1)


def test_another_file_in_the_place_of_a_begun_one_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ecompulse.io.files.records.CHUNK", 2000)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(WHOLE + b"rubbish")
    source = FileSource(str(tmp_path), 0)
    backlog = source.plan({}, 10, {}, whole=True)
    backlog = source.plan(backlog.positions, 10_000, {}, whole=True)
    path.write_bytes(gzip.compress(b"".join(reversed(ROWS))))
    again = source.plan(backlog.positions, 10_000, {}, whole=True)
    assert not again.splits
    assert "is another file" in again.notes["unreadable"][str(path)]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_file_whose_name_is_no_text_is_a_dead_letter_until_it_has_another(tmp_path, suffix):
    odd, good = tmp_path / f"a\udcff{suffix}", tmp_path / f"b{suffix}"
    odd.write_bytes(parquet(tmp_path / "made.parquet") if suffix == ".parquet" else b"".join(ROWS[:3]))
    source = FileSource(str(tmp_path), 0)
    list(source.columns(9))
    first = source.plan({}, 10_000, {}, whole=True)
    letters = read(source, first).select("source", "message").rows()
    assert letters == [(str(tmp_path / rf"a\xff{suffix}"), "its name is not UTF-8; give it another")]
    odd.rename(good)
    again = source.plan(first.positions, 10_000, {}, whole=True)
    assert {(split.uri, split.fault) for split in again.splits} == {(str(good), "")}


def test_a_letter_whose_run_failed_is_planned_again(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(WHOLE[:100])
    source = FileSource(str(tmp_path), 0)
    for _ in range(2):
        assert [bool(split.fault) for split in source.plan({}, 10, {}, whole=True).splits] == [True]


def harmed(path: Path) -> bytes:
    """A file of Parquet whose footer is whole: only who reads its rows sees it."""
    good = parquet(path)
    return good[:8] + bytes(800) + good[808:]


def test_the_first_rows_of_a_damaged_file_are_its_letter(tmp_path):
    (tmp_path / "1.parquet").write_bytes(harmed(tmp_path / "made.parquet"))
    (tmp_path / "2.jsonl").write_bytes(b"".join(ROWS[:3]))
    found = first_rows(FileSource(str(tmp_path), 0))
    assert decode(found, 1_800_000_000_000).dead["rule"].to_list() == ["unreadable_file"]
    with pytest.raises(JobError, match=r"1\.parquet"):
        first_rows(FileSource(str(tmp_path), 0, on_bad_file="stop"))


@pytest.mark.slow
def test_a_job_whose_first_file_is_damaged_reads_the_others(tmp_path):
    made = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--progress=none", "--drain"))
    made.source.mkdir()
    (made.source / "1.parquet").write_bytes(harmed(made.source / "made.parquet"))
    (made.source / "2.jsonl").write_bytes(b"".join(ROWS[:20]))
    status, said = made.run_here()
    assert (status, said.count("it is tried again when it changes")) == (0, 1), said
    assert made.tables()["lake enriched_events"].height == 20
    assert made.tables()["lake dead_letters"]["rule"].to_list() == ["unreadable_file"]


@pytest.mark.slow
def test_a_job_goes_on_and_accounts_for_everything(tmp_path, capsys):
    made = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--progress=none", "--drain"))
    made.source.mkdir()
    (made.source / "1.jsonl").write_bytes(b"".join(ROWS[:100]))
    for name, data in (("2.jsonl.gz", WHOLE[:500]), ("3.parquet", harmed(made.source / "made.parquet"))):
        (made.source / name).write_bytes(data)
    status, said = made.run_here("--max_dead_ratio=1")
    assert status == 0
    assert said.count("it is tried again when it changes") == 2
    letters = made.tables()["lake dead_letters"]
    assert letters.filter(pl.col("rule") == "unreadable_file").height == 2
    assert audit.main([str(made.root / "checkpoint")]) == 0
    assert capsys.readouterr().out.count("set aside until it changes") == 2
    (made.source / "2.jsonl.gz").write_bytes(WHOLE)
    assert made.run_here("--max_dead_ratio=1")[0] == 0
    assert audit.main([str(made.root / "checkpoint")]) == 0
