import gzip
import json
import os

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.files.source import FileSource
from ecompulse.io.sources import SourceContext, open_source
from pipelines import event_enrichment
from support.examples import examples


def consume(source, max_rows=1000, positions=None, *, whole=False):
    """Plan and read once; returns raw rows and the new positions."""
    positions = {} if positions is None else positions
    backlog = source.plan(positions, max_rows, {}, whole=whole)
    rows = []
    for split in backlog.splits:
        for batch in source.reader().read(split):
            rows += batch["raw"].to_list()
    return rows, {**positions, **backlog.positions}, backlog


def everything(source, max_rows, *, whole=True):
    rows, positions = [], {}
    while True:
        fresh, positions, backlog = consume(source, max_rows, positions, whole=whole)
        rows += fresh
        if not backlog.splits:
            return rows


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_any_cut_reads_every_line_once(tmp_path, compress, ending):
    lines = [f'{{"n": {n}}}'.encode() for n in range(57)]
    data = (ending or b"\n").join(lines) + ending
    path = tmp_path / ("a.jsonl.gz" if compress else "a.jsonl")
    path.write_bytes(gzip.compress(data) if compress else data)
    for cut in (1, 7, 56, 57, 1000):
        assert everything(FileSource(str(path), 0), cut) == lines


@examples(80)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1)), st.integers(1, 5))
def test_csv_records_with_line_ends_in_quotes(tmp_path_factory, cells, cut):
    """Any text in a quoted cell comes back, whatever the cut."""
    folder = tmp_path_factory.mktemp("csv")
    text = "".join('"' + cell.replace('"', '""') + '",x\n' for cell in cells)
    (folder / "a.csv").write_bytes(b"name,other\n" + text.encode())
    rows = everything(FileSource(str(folder / "a.csv"), 0), cut)
    assert b"".join(row + b"\n" for row in rows) == text.encode()


def test_a_growing_file_gives_complete_lines_only(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntw")
    source = FileSource(str(path), 0)
    rows, at, _ = consume(source)
    assert rows == [b"one"]
    with path.open("ab") as more:
        more.write(b"o\nthree\n")
    rows, at, _ = consume(source, positions=at)
    assert rows == [b"two", b"three"]
    assert consume(source, positions=at)[0] == []


def test_an_unended_last_line_counts_when_the_input_is_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntwo")
    source = FileSource(str(path), 0)
    rows, at, _ = consume(source)
    assert rows == [b"one"]
    rows, at, _ = consume(source, positions=at, whole=True)
    assert rows == [b"two"]
    assert consume(source, positions=at, whole=True)[0] == []


def test_new_files_of_a_folder_are_picked_up_in_order_and_limited(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.jsonl").write_text(f"{name}\n")
    (tmp_path / "_tmp.jsonl").write_text("x\n")
    (tmp_path / "notes.txt").write_text("x\n")
    source = FileSource(str(tmp_path), 0, max_files=2)
    rows, at, backlog = consume(source)
    assert rows == [b"a", b"b"]
    assert backlog.left
    rows, at, backlog = consume(source, positions=at)
    assert rows == [b"c"]
    assert not backlog.left
    (tmp_path / "aa.jsonl").write_text("aa\n")
    assert consume(source, positions=at)[0] == [b"aa"]


def test_what_waits_is_told_in_rows_whatever_the_format(tmp_path):
    rows = [json.dumps({"n": n, "name": f"a product, the {n * n}th", "ids": [n, n + 1]}) for n in range(60_000)]
    frame = pl.DataFrame({"row": rows})
    text = "\n".join(rows).encode() + b"\n"
    for name, data in (("plain.jsonl", text), ("packed.jsonl.gz", gzip.compress(text))):
        (tmp_path / name).write_bytes(data)
    frame.write_parquet(tmp_path / "columns.parquet", row_group_size=5_000)
    for name in ("plain.jsonl", "packed.jsonl.gz", "columns.parquet"):
        source = FileSource(str(tmp_path / name), 0)
        at = {}
        for read in (20_000, 40_000):
            backlog = source.plan(at, 20_000, {}, whole=False)
            at = {**at, **backlog.positions}
            assert backlog.left == pytest.approx(60_000 - read, rel=0.15), name
        backlog = source.plan(at, 20_000, {}, whole=False)
        assert backlog.left == 0


def test_files_not_begun_wait_too(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(1000, 2000)))
    source = FileSource(str(tmp_path), 0)
    assert source.plan({}, 500, {}, whole=False).left == 9_500


def test_order_by_time(tmp_path):
    for number, name in enumerate(("b", "a")):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(name + "\n")
        os.utime(path, (number + 1, number + 1))
    assert consume(FileSource(str(tmp_path), 0, "mtime"))[0] == [b"b", b"a"]


def test_a_file_that_shrank_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntwo\n")
    source = FileSource(str(path), 0)
    _, at, _ = consume(source)
    path.write_bytes(b"one\n")
    with pytest.raises(JobError, match=r"a\.jsonl shrank from 8 to 4 bytes"):
        consume(source, positions=at)


def test_a_file_that_vanished_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntwo\n")
    source = FileSource(str(path), 0)
    _, at, _ = consume(source, max_rows=1)
    path.unlink()
    with pytest.raises(JobError, match=r"a\.jsonl vanished"):
        consume(source, positions=at)


def test_a_compressed_file_that_is_cut_off_is_an_error(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"one\n" * 1000)[:-12])
    with pytest.raises(JobError, match="damaged or incomplete"):
        consume(FileSource(str(path), 0, on_bad_file="stop"))


def test_a_compressed_file_that_changed_is_an_error(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"one\n"))
    source = FileSource(str(path), 0)
    _, at, _ = consume(source)
    path.write_bytes(gzip.compress(b"one\ntwo and more\n"))
    with pytest.raises(JobError, match="changed after it was read"):
        consume(source, positions=at)


def test_parquet_rows_by_range(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"x": range(10)}).write_parquet(path)
    source = FileSource(str(path), 0)
    at, seen = {}, []
    while (backlog := source.plan(at, 4, {}, whole=False)).splits:
        seen += [row for split in backlog.splits for batch in source.reader().read(split) for row in batch["x"]]
        at = {**at, **backlog.positions}
    assert seen == list(range(10))
    assert at[str(path)]["at"] == 10


def test_what_is_not_there_or_not_known_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        open_source(str(tmp_path / "*.jsonl"), SourceContext(0, max_files=10))
    (tmp_path / "a.xml").write_text("x")
    with pytest.raises(UserError, match="unknown kind of file"):
        open_source(str(tmp_path / "a.xml"), SourceContext(0, max_files=10))
    with pytest.raises(UserError, match="ftp://host/x: no such source"):
        open_source("ftp://host/x", SourceContext(0, max_files=10))


def test_csv_files_of_other_columns_are_read_by_their_own_headers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    time, folder = "2026-03-01T00:00:00Z", tmp_path / "in"
    folder.mkdir()
    (folder / "1.csv").write_text(f"event_id,event_type,event_time,user_id,query\na,search,{time},u1,red shoes\n")
    (folder / "2.csv").write_text(f"event_id,event_type,event_time,query,user_id\nb,search,{time},blue hat,u2\n")
    assert event_enrichment.main(["--source=in", "--progress=none", "--warehouse=none"]) == 0
    rows = pl.from_arrow(DeltaTable("lake/enriched_events").to_pyarrow_table())
    assert sorted(rows.select("event_id", "user_id", "query").rows()) == [
        ("a", "u1", "red shoes"),
        ("b", "u2", "blue hat"),
    ]
