"""Compressed files are read forward once, however small the epochs."""

import bz2
import gzip

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecompulse.io.files.source import FileSource
from ecompulse.io.files.streams import OpenFile, UnreadableFile

CONTENT = b"".join(b'{"n": %d}\n' % number for number in range(2000))
COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


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
    suffix=st.sampled_from(["", ".gz", ".bz2", ".zst"]),
    parts=st.integers(1, 3),
)
@example(reads=[(0, 0)], suffix=".bz2", parts=1)
def test_any_order_of_reads_gives_the_content(tmp_path_factory, reads, suffix, parts):
    path = tmp_path_factory.mktemp("files") / f"events.jsonl{suffix}"
    step = len(CONTENT) // parts + 1
    path.write_bytes(b"".join(COMPRESS[suffix](CONTENT[at : at + step]) for at in range(0, len(CONTENT), step)))
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


@pytest.mark.parametrize("damage", [lambda data: b"X" + data[1:], lambda data: data[:-4]])
@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_what_follows_a_damaged_stream_is_not_lost_in_silence(tmp_path, suffix, damage):
    path = tmp_path / f"events.jsonl{suffix}"
    path.write_bytes(COMPRESS[suffix](CONTENT) + damage(COMPRESS[suffix](CONTENT)))
    handle = OpenFile(str(path))
    with pytest.raises(UnreadableFile, match="damaged or incomplete"):
        handle.read(0, 3 * len(CONTENT))
    handle.close()


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_zeros_between_streams_and_at_the_end_of_a_file_are_none(tmp_path, suffix):
    path = tmp_path / f"events.jsonl{suffix}"
    path.write_bytes((COMPRESS[suffix](CONTENT) + bytes(2_000_000)) * 2)
    handle = OpenFile(str(path))
    assert handle.read(0, 3 * len(CONTENT)) == 2 * CONTENT
    handle.close()
