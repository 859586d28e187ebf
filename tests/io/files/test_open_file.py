"""Compressed files are read forward once, however small the epochs."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from ecompulse.io.files.source import FileSource
from ecompulse.io.files.streams import OpenFile

CONTENT = b"".join(b'{"n": %d}\n' % number for number in range(2000))


def test_small_epochs_never_go_back_to_the_start_of_a_compressed_file(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(CONTENT))
    rewound = []
    monkeypatch.setattr(gzip._GzipReader, "_rewind", lambda _reader: rewound.append(1))
    source, positions, rows = FileSource(str(path), 0), {}, 0
    while splits := (backlog := source.plan(positions, 70, {}, whole=False)).splits:
        positions.update(backlog.positions)
        rows += sum(split.rows for split in splits)
    assert rows == 2000
    assert not rewound


@given(
    reads=st.lists(st.tuples(st.integers(0, len(CONTENT) + 50), st.integers(0, 9000)), max_size=12),
    compressed=st.booleans(),
)
def test_any_order_of_reads_gives_the_content(tmp_path_factory, reads, compressed):
    path = tmp_path_factory.mktemp("files") / ("events.jsonl.gz" if compressed else "events.jsonl")
    path.write_bytes(gzip.compress(CONTENT) if compressed else CONTENT)
    handle = OpenFile(str(path))
    for start, size in reads:
        assert handle.read(start, size) == CONTENT[start : start + size]
    handle.close()


def test_a_file_of_blank_lines_has_no_rows(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("\n\n\n")
    source = FileSource(str(path), 0)
    backlog = source.plan({}, 100, {}, whole=False)
    assert sum(batch.height for split in backlog.splits for batch in source.reader().read(split)) == 0


def test_a_compressed_file_that_takes_the_name_of_another_is_read_itself(tmp_path):
    path, reader = tmp_path / "log.jsonl.gz", FileSource(str(tmp_path), 0).reader()
    for content in (b"one\n", b"two\n"):
        (tmp_path / "new").write_bytes(gzip.compress(content))
        (tmp_path / "new").replace(path)
        [split] = FileSource(str(path), 0).plan({}, 10, {}, whole=False).splits
        assert [batch["raw"].to_list() for batch in reader.read(split)] == [[content.strip()]]
