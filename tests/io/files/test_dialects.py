"""Files as others write them: delimiters, encodings, headers, JSON documents, compressions, in any cut."""

import bz2
import csv
import gzip
import io
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.errors import UserError
from ecompulse.io.files.documents import BrokenDocument, Documents
from ecompulse.io.files.source import FileSource
from ecompulse.io.files.streams import UnreadableFile
from ecompulse.kernels.decode import decode
from ecompulse.kernels.foreign.dialect import PLAIN, Dialect
from ecompulse.kernels.mapping import Mapping
from support.examples import examples


def read(path, dialect=PLAIN, max_rows=1000):
    """All batches of a source, planned in steps of so many rows."""
    source, positions, batches = FileSource(str(path), 0, dialect=dialect), {}, []
    while (backlog := source.plan(positions, max_rows, {}, whole=True)).splits:
        batches += [batch for split in backlog.splits for batch in source.reader().read(split)]
        positions |= backlog.positions
    return batches


def raws(path, dialect=PLAIN, max_rows=1000):
    return [row for batch in read(path, dialect, max_rows) for row in batch["raw"]]


def events_of(batch, dialect):
    """Id, brand and query of the events of a batch."""
    lines = {"event_time": "t", "event_type": "k", "user_id": "u"}
    mapping = Mapping(format=dialect, fields=lines)
    return decode(batch, 1_750_000_000_000, mapping).events.select("event_id", "brand", "query").rows()


ROWS = [("1", "Müller", "a;b"), ("2", "x,y", 'say "hi"'), ("3", "l1\nl2", "\t")]


def written(dialect, header=True):
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=dialect.delimiter or ",", quotechar=dialect.quote, quoting=quoting)
    names = ["event_id", "brand", "query", "t", "k", "u"]
    writer.writerows(([names] if header else []) + [[*row, "2024-01-01T00:00:00Z", "search", "u"] for row in ROWS])
    return out.getvalue()


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".dat", ".csv.gz", ".csv.bz2", ".csv.zst"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", "tab", "|", ","])
def test_cells_come_back_from_any_dialect(tmp_path, suffix, encoding, delimiter):
    dialect = Dialect(kind="csv", delimiter=delimiter, encoding=encoding)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(packed(suffix, written(dialect).encode(encoding)))
    found = [row for batch in read(path, dialect, 1) for row in events_of(batch, dialect)]
    assert found == ROWS


def packed(suffix, data):
    if suffix.endswith(".zst"):
        return pa.compress(data, "zstd", asbytes=True)
    return {".gz": gzip.compress, ".bz2": bz2.compress}.get(
        suffix[-3:] if suffix[-3:] == ".gz" else suffix[-4:], bytes
    )(data)


@pytest.mark.parametrize("skip", [0, 2])
@pytest.mark.parametrize("header", [False, True])
def test_given_columns_with_and_without_a_header(tmp_path, skip, header):
    columns = ("event_id", "brand", "query", "t", "k", "u")
    dialect = Dialect(delimiter=";", columns=columns, header=header, skip=skip)
    text = "export of today\n" * skip + ("A;B;C;D;E;F\r\n" if header else "")
    path = tmp_path / "a.csv"
    path.write_text(text + written(dialect, header=False), newline="")
    assert [row for batch in read(path, dialect, 1) for row in events_of(batch, dialect)] == ROWS


def test_what_excel_says_of_its_delimiter_is_believed_and_tabs_are_those_of_tsv(tmp_path):
    (tmp_path / "a.csv").write_text("sep=;\nevent_id;brand;query;t;k;u\n1;a,b;;2024-01-01T00:00:00Z;s;u\n")
    (tmp_path / "b.tsv").write_text("event_id\tbrand\tquery\tt\tk\tu\n2\ta,b\t\t2024-01-01T00:00:00Z\ts\tu\n")
    found = [row for batch in read(tmp_path) for row in events_of(batch, PLAIN)]
    assert found == [("1", "a,b", None), ("2", "a,b", None)]


def test_without_a_quote_any_character_is_text_and_null_words_are_nothing(tmp_path):
    dialect = Dialect(
        delimiter="tab", quote=None, columns=("event_id", "brand", "query", "t", "k", "u"), nulls=(r"\N", "NULL")
    )
    path = tmp_path / "a.tsv"
    path.write_text('1\t"open\t\\N\t2024-01-01T00:00:00Z\ts\tu\n2\tNULL\tit"s\t2024-01-01T00:00:00Z\ts\tu\n')
    found = [row for batch in read(path, dialect, 1) for row in events_of(batch, dialect)]
    assert found == [("1", '"open', None), ("2", None, 'it"s')]


def test_bytes_that_an_encoding_does_not_know_cost_their_row_only(tmp_path):
    dialect = Dialect(encoding="cp1252")
    path = tmp_path / "a.csv"
    path.write_bytes(b"event_id,brand\n1,\x81\n2,\xe9\n")
    [batch] = read(path, dialect)
    decoded = decode(batch, 1_750_000_000_000, Mapping(format=dialect, constants={
        "event_type": "s", "user_id": "u", "event_time": "2024-01-01T00:00:00Z"}))  # fmt: skip
    assert decoded.events["brand"].to_list() == ["é"]
    assert decoded.dead["rule"].to_list() == ["invalid_utf8"]


def test_a_growing_semicolon_file_gives_complete_rows_only(tmp_path):
    path, dialect = tmp_path / "a.csv", Dialect(delimiter=";", columns=("a", "b"))
    path.write_text("1;x\n2;")
    source = FileSource(str(path), 0, dialect=dialect)
    first = source.plan({}, 10, {}, whole=False)
    assert [split.rows for split in first.splits] == [1]
    with path.open("a") as more:
        more.write("y\n")
    assert [split.rows for split in source.plan(first.positions, 10, {}, whole=False).splits] == [1]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('a"\\[]{},:\n é', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"{[', max_size=2), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text("ab", min_size=1, max_size=2), values, min_size=1, max_size=3)


@examples(60)
@given(st.lists(objects, max_size=5), st.sampled_from([None, 0, 2]), st.integers(1, 7), st.booleans(), st.data())
def test_the_rows_of_a_document_are_its_elements_whatever_its_layout_and_the_cut(rows, indent, step, nested, data):
    document = {"meta": {"rows": [1], "x": ["}"]}, "data": {"rows": rows, "next": None}} if nested else rows
    text = json.dumps(document, indent=indent, ensure_ascii=data.draw(st.booleans()))
    if not nested and data.draw(st.booleans()):
        text = "\n".join(json.dumps(row, indent=indent) for row in rows)
    handle, made = Documents(io.BytesIO(text.encode()), "data.rows" if nested else ""), b""
    handle._handle = Slow(text.encode(), step)  # as slow as a file may be
    while part := handle.read(step):
        made += part
    assert [json.loads(line) for line in made.split(b"\n") if line] == rows
    assert len(made) <= len(text.encode())


class Slow(io.BytesIO):
    """Gives a few bytes at a time."""

    def __init__(self, data, step) -> None:
        super().__init__(data)
        self.step = step

    def read(self, size=-1):
        del size
        return super().read(self.step)


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a"', '[{"a": 1}', '{"a": [1, 2}', '[{"a": "x}]', "[]]"])
def test_a_document_that_does_not_end_is_no_document(text):
    handle = Documents(io.BytesIO(text.encode()))
    with pytest.raises(BrokenDocument):
        list(iter(lambda: handle.read(9), b""))


def test_documents_are_read_as_files_are_in_any_cut_and_wait_for_no_line_end(tmp_path):
    rows = [{"n": n, "t": "é\n"} for n in range(9)]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress("\n".join(json.dumps(row, indent=1) for row in rows).encode()))
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for cut in (1, 4, 100):
        assert [json.loads(row) for row in raws(tmp_path, max_rows=cut)] == rows * 3
    (tmp_path / "d.json").write_text(json.dumps({"orders": rows}))
    assert [json.loads(row) for row in raws(tmp_path / "d.json", Dialect(rows="orders"), 2)] == rows


def test_json_lines_are_known_by_their_first_byte_under_any_suffix(tmp_path):
    (tmp_path / "a.log").write_text('{"a":1}\n')
    assert raws(tmp_path / "a.log") == [b'{"a":1}']
    (tmp_path / "b.log").write_text("hello\n")
    with pytest.raises(UserError, match=r"format: .kind: csv."):
        read(tmp_path / "b.log")
    assert raws(tmp_path / "b.log", Dialect(kind="json")) == [b"hello"]


@pytest.mark.parametrize("suffix", ["json", "jsonl.zst", "jsonl.bz2", "csv"])
def test_a_file_that_is_cut_is_set_aside(tmp_path, suffix):
    data = packed(f".{suffix}", b'[{"a": 1},\n' * 500)[:-7]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"\xff\xfea" if suffix == "csv" else data)
    source = FileSource(
        str(path), 0, on_bad_file="stop", dialect=Dialect(encoding="utf-16") if suffix == "csv" else PLAIN
    )
    with pytest.raises(UnreadableFile, match="damaged or incomplete"):
        source.plan({}, 1000, {}, whole=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"delimiter": "||"}, "delimiter: '||' is not one"),
        ({"delimiter": "¦"}, "delimiter"),
        ({"encoding": "utf-9"}, "encoding: 'utf-9'"),
        ({"encoding": "base64"}, "encoding: 'base64'"),
        ({"encoding": "rot13"}, "encoding: 'rot13'"),
        ({"encoding": "idna"}, "encoding: 'idna'"),
        ({"header": False}, "columns: required"),
        ({"columns": ("a", "a")}, "columns: each"),
        ({"delimiter": '"'}, "quote: is the delimiter"),
        ({"skip": -1}, "skip"),
        ({"kind": "csv", "rows": "a"}, "rows"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        Dialect(**given)
