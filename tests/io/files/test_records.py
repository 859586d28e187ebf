"""Records of text files: as Python's csv reads them, each once for any cut, and a broken one costs itself only."""

import csv
import gzip
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.layout import head_of
from ecompulse.io.files.read_ahead import ReadAhead, Records
from ecompulse.io.files.records import RETURN, Layout, scan, to_rows
from ecompulse.io.files.source import FileSource
from ecompulse.io.files.streams import OpenFile
from ecompulse.kernels.decode import decode
from ecompulse.kernels.event import KEPT_ROW_BYTES, LENGTH, MAX_ROW_BYTES
from support.examples import examples

CSV = Layout(quoted=True)
NOW = 1_900_000_000_000
HEADER = "event_id,event_type,event_time,user_id,query"


def rows_in(data, start, layout):
    return to_rows(Records(data, layout.ends(data, ended=True)), start, layout)


def rows_of(path: Path, max_rows: int = 10**6, *, whole: bool = True) -> pl.DataFrame:
    """All rows of a file, epoch by epoch."""
    source, positions, found = FileSource(str(path), 0), {}, [pl.DataFrame()]
    while (backlog := source.plan(positions, max_rows, {}, whole=whole)).splits:
        for split in backlog.splits:
            batches = list(source.reader().read(split))
            assert sum(batch.height for batch in batches) == split.rows
            found += batches
        positions.update(backlog.positions)
    return pl.concat(found, how="diagonal")


@examples(100)
@given(
    st.lists(st.lists(st.text(alphabet='ab,"\n\r ', max_size=5), min_size=2, max_size=3), max_size=8),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_well_formed_csv_is_split_as_python_splits_it(table, quoting, ending):
    if quoting == csv.QUOTE_MINIMAL:  # Python leaves a return bare
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=ending).writerows(table)
    data = text.getvalue().encode()
    raw, _ = rows_in(data, 0, CSV)
    assert [next(csv.reader([row.decode()])) for row in raw] == table


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b'"', b",", b"bc"]), max_size=30).map(b"".join), st.data()
)
def test_a_plan_counts_the_records_that_are_read_for_any_chunk_and_cut(data, choice):
    limit, rows = choice.draw(st.integers(1, 6)), choice.draw(st.integers(1, 5))
    chunk, at = choice.draw(st.integers(2 * limit, 40)), 0
    layout = choice.draw(st.sampled_from([Layout(), CSV, Layout(newline=RETURN), Layout(quoted=True, newline=RETURN)]))
    with (
        TemporaryDirectory() as folder,
        mock.patch("ecompulse.io.files.records.CHUNK", chunk),
        mock.patch("ecompulse.io.files.quoting.MAX_ROW_BYTES", limit),
    ):
        path = Path(folder, "a.csv")
        path.write_bytes(data)
        while ranges := list(scan(OpenFile(str(path)), at, rows, layout, whole=True)):
            for start, end, records, blank, read in ranges:
                assert (start, at) == (at, start), "ranges follow each other"
                found = [data[start:end]] if end - start > chunk else rows_in(data[start:end], start, layout)[0]
                assert len(found) == records
                assert read is None or to_rows(read, start, layout)[0].to_list() == list(found)
                assert records + blank <= rows
                at = end
    assert at == len(data)


@given(st.lists(st.sampled_from([b"a", b"\n", b'"', b'""', b",", b'"\n', b',"', b'",']), max_size=40).map(b"".join))
def test_what_is_certain_of_a_beginning_stays_so_whatever_follows(data):
    whole = set(CSV.ends(data, ended=True))
    for cut in range(len(data)):
        assert set(CSV.ends(data[:cut], ended=False)) <= whole


BROKEN = [
    '27" monitor',
    '27" and 28" monitors',
    '"never closed',
    '"closed" too early',
    'x,"never closed either',
    '"a" b "c',
    '"""',
]


@pytest.mark.parametrize("cell", BROKEN)
@pytest.mark.parametrize("max_rows", [7, 10**6])
def test_a_stray_quote_costs_one_row(tmp_path, cell, max_rows):
    lines = [f'e{n},search,2026-03-01T00:00:00Z,u1,"red, {n}"' for n in range(100)]
    lines[20] = f"e20,search,2026-03-01T00:00:00Z,u1,{cell}"
    lines[60] = f"e60,search,2026-03-01T00:00:00Z,u1,{cell}"
    path = tmp_path / "a.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    rows = rows_of(path, max_rows, whole=False)
    assert [raw.decode() for raw in rows["raw"]] == lines
    decoded = decode(rows, NOW)
    assert set(decoded.events["event_id"]) | {"e20", "e60"} == {f"e{n}" for n in range(100)}
    assert decoded.events.height + decoded.dead.height == 100


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_an_open_quote_gives_up_at_the_limit_of_a_row(tmp_path, suffix):
    lines = ['e0,search,2026-03-01T00:00:00Z,u1,"never closed']
    lines += [f"e{n},search,2026-03-01T00:00:00Z,u1,{'x' * 1000}" for n in range(1, 3000)]
    path = tmp_path / f"a{suffix}"
    content = "\n".join([HEADER, *lines, ""]).encode()
    path.write_bytes(gzip.compress(content, 1) if suffix.endswith("gz") else content)
    assert rows_of(path, whole=False).height == 3000


@pytest.mark.parametrize("before", [b"", b'"' + b"x,y\n" * 100 + b'",'])
def test_a_long_line_with_an_open_quote_is_one_row(tmp_path, before):
    path, chunk = tmp_path / "a.csv", 4 * MAX_ROW_BYTES
    others = [b"r%d,1" % number for number in range(600_000)]
    path.write_bytes(b"\n".join([b"a,b", before + b"x" * (chunk - MAX_ROW_BYTES // 2) + b',"open', *others, b""]))
    with mock.patch("ecompulse.io.files.records.CHUNK", chunk), mock.patch("ecompulse.io.files.reader.CHUNK", chunk):
        assert rows_of(path, whole=False)["raw"].to_list()[1:] == others


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("first", ["a", "é", "\ufeffa"])
def test_line_ends_of_carriage_returns_alone(tmp_path, suffix, first):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(f"{first}\rb\r\rc,d\r".encode())
    expected = [b"b", b"c,d"] if suffix == ".csv" else [first.removeprefix("\ufeff").encode(), b"b", b"c,d"]
    for cut in (1, 10):
        assert rows_of(path, cut)["raw"].to_list() == expected


def test_cells_of_a_file_of_carriage_returns_may_have_line_feeds(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'name,note\ra,"one\ntwo"\rb,"three\rfour"\r')
    assert rows_of(path)["raw"].to_list() == [b'a,"one\ntwo"', b'b,"three\rfour"']


def test_a_json_row_may_have_carriage_returns_for_spaces(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a":\r1}\n{"b":\r2}\r\n')
    assert rows_of(path)["raw"].to_list() == [b'{"a":\r1}', b'{"b":\r2}']


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".jsonl.gz"])
def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    content = ("\ufeff" + ('"x",y\n' if "csv" in suffix else "") + "one\ntwo\n").encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    for cut in (1, 10):
        assert rows_of(path, cut)["raw"].to_list() == [b"one", b"two"]
    if suffix == ".csv":
        assert head_of(str(path), whole=False).header == '"x",y'


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".csv"])
def test_of_a_row_that_nobody_can_hold_the_first_bytes_and_the_length_are_kept(tmp_path, suffix):
    path, chunk = tmp_path / f"a{suffix}", 4 * MAX_ROW_BYTES
    huge, large = b"x" * (3 * chunk), b"y" * (2 * MAX_ROW_BYTES)
    content = b"\n".join([HEADER.encode() * ("csv" in suffix), b"one", huge, b"two", large, b"three", b""])
    path.write_bytes(gzip.compress(content, 1) if suffix.endswith("gz") else content)
    sizes = []
    real = OpenFile.read

    def read(self: OpenFile, start: int, size: int) -> bytes:
        sizes.append(size)
        return real(self, start, size)

    with (
        mock.patch("ecompulse.io.files.records.CHUNK", chunk),
        mock.patch("ecompulse.io.files.reader.CHUNK", chunk),
        mock.patch.object(OpenFile, "read", read),
    ):
        rows = rows_of(path, whole=False)
    assert max(sizes) <= chunk
    short = [raw for raw in rows["raw"] if len(raw) < 10]
    assert short == [b"one", b"two", b"three"]
    lengths = rows[LENGTH].drop_nulls().to_list()
    assert lengths == [len(huge) + 1]
    dead = pl.concat(
        [decode(part, NOW).dead for part in (rows.filter(pl.col(LENGTH).is_not_null()), rows.drop(LENGTH))]
    )
    dead = dead.filter(pl.col("rule") == "row_too_large").unique("source_offset").sort("source_offset")
    assert dead["raw"].to_list() == [b"x" * KEPT_ROW_BYTES, b"y" * KEPT_ROW_BYTES]
    assert str(len(huge) + 1) in dead["message"].str.join(" ")[0]


def test_a_row_that_never_ends_is_one_row_once_the_file_is_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n" + b"x" * (3 * MAX_ROW_BYTES))
    chunk = 2 * MAX_ROW_BYTES
    with mock.patch("ecompulse.io.files.records.CHUNK", chunk), mock.patch("ecompulse.io.files.reader.CHUNK", chunk):
        assert rows_of(path, whole=False)["raw"].to_list() == [b"one"]
        assert rows_of(path)[LENGTH].to_list() == [None, 3 * MAX_ROW_BYTES]


def test_blank_lines_before_a_header_are_no_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(f"\r\n\n{HEADER}\nx\n".encode())
    assert rows_of(path).select("raw", "header").rows() == [(b"x", HEADER)]


def test_a_header_without_end_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * (MAX_ROW_BYTES + 100_000))
    with pytest.raises(JobError, match=r"a\.csv: has no CSV header"):
        rows_of(path)


def test_scan_stops_at_the_limit(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"a\n" * 10)
    [found] = scan(OpenFile(str(path)), 4, 3, Layout(), whole=False)
    assert found[:4] == (4, 10, 3, 0)


def test_rows_know_their_position():
    raw, offset = rows_in(b"aa\n\nb\r\n", 100, Layout())
    assert raw.to_list() == [b"aa", b"b"]
    assert offset.to_list() == [100, 104]


def test_what_a_plan_has_decompressed_is_not_read_again_and_what_it_dropped_is(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"n": %d}\r\n\n' % n for n in range(1000))))
    source = FileSource(str(path), 0)
    [split] = source.plan({}, 5000, {}, whole=True).splits
    with mock.patch("ecompulse.io.files.reader.OpenFile", side_effect=AssertionError("is read again")):
        [ahead] = source.reader().read(split)
    [again] = source.reader().read(split)  # what was kept is for one reader
    assert again.equals(ahead)
    assert again.height == 1000
    [split] = source.plan({}, 5000, {}, whole=True).splits
    source.plan({}, 10, {}, whole=True)  # another plan: what the one before it kept would wait for nobody
    [again] = source.reader().read(split)
    assert again.equals(ahead)


def test_no_more_is_read_ahead_than_there_is_room_for():
    ahead, records = ReadAhead(most_bytes=10), Records(b"aaa\nbb\n", Layout().ends(b"aaa\nbb\n", ended=True))
    ahead.keep("s", "f", 0, records)
    ahead.keep("s", "f", 7, records)
    assert ahead.take("f", 7, 7) is None
    assert ahead.take("f", 0, 4) is None, "another range"
    ahead.keep("s", "f", 0, records)
    assert ahead.take("f", 0, 7) is records
    assert ahead.take("f", 0, 7) is None
    ahead.keep("s", "f", 0, records)
    ahead.keep("s", "f", 0, records._replace(data=b"bbb\ncc\n" * 2))
    assert ahead.take("f", 0, 7) is None, "what an earlier plan read is not what a later one found"
