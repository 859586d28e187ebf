"""Reading a Delta table: every row once for any cut, later appends, and a word for what cannot be followed."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.delta import DeltaSource
from ecompulse.io.s3 import storage_options
from ecompulse.io.sources import SourceContext, open_source
from services import s3
from support.examples import examples


def append(place, numbers, options=None, **more: Any) -> None:
    frame = pl.DataFrame({"n": list(numbers)}, schema={"n": pl.Int64()}).with_columns(day=pl.lit("2026-03-01"))
    write_deltalake(str(place), frame, mode="append", storage_options=options, **more)


def read(source, positions, max_rows, epochs=1000):
    """Rows by epoch until there is nothing new; moves `positions`."""
    reader, found = source.reader(), []
    for _ in range(epochs):
        backlog = source.plan(positions, max_rows, {}, whole=False)
        if not backlog.splits:
            assert not backlog.left
            assert backlog.ended == {0}
            break
        frames = [frame for split in backlog.splits for frame in reader.read(split)]
        assert sum(frame.height for frame in frames) == sum(split.rows for split in backlog.splits) <= max_rows
        found.append(pl.concat(frames))
        positions.update(backlog.positions)
    return found


@examples(20)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.lists(st.integers(0, 9), max_size=4),
    st.integers(1, 12),
    st.integers(1, 3),
)
def test_any_cut_gives_every_row_once_and_goes_on_with_what_is_appended(tmp_path_factory, first, later, rows, files):
    place, count = tmp_path_factory.mktemp("table") / "t", 0
    for size in (0, *first):  # the first creates it
        append(place, range(count, count + size))
        count += size
    source, positions = DeltaSource(str(place), 0, max_files=files), {}
    begun = read(source, positions, rows, epochs=2)
    for size in later:
        append(place, range(count, count + size))
        count += size
    found = pl.concat([pl.DataFrame(schema={"n": pl.Int64()}), *(frame.select("n") for frame in [
        *begun, *read(DeltaSource(str(place), 0, max_files=files), positions, rows)
    ])])  # fmt: skip
    assert found["n"].to_list() == list(range(count))


def test_rows_have_their_position_and_the_columns_of_their_path(tmp_path):
    append(tmp_path / "t", range(3), partition_by=["day"])
    [frame] = read(open_source(str(tmp_path / "t"), SourceContext(4, max_files=9)), {}, 100)
    assert frame["day"].cast(pl.String).to_list() == ["2026-03-01"] * 3
    assert frame["source_offset"].to_list() == [0, 1, 2]
    assert frame["source_partition"].to_list() == [4] * 3
    assert frame["source"].str.starts_with(str(tmp_path / "t")).all()


def test_bytes_of_a_path_are_the_same_from_a_snapshot_and_from_a_commit(tmp_path):
    rows = pa.table({"n": [1, 2], "p": [b"abc", b"\xff\x00\\"]})
    write_deltalake(tmp_path / "t", rows, partition_by=["p"])
    write_deltalake(tmp_path / "t", rows, partition_by=["p"], mode="append")
    source = DeltaSource(str(tmp_path / "t"), 0, max_files=9)
    positions: dict[str, int] = {}
    found = pl.concat(read(source, positions, 100))
    write_deltalake(tmp_path / "t", rows, partition_by=["p"], mode="append")
    found = pl.concat([found, *read(source, positions, 100)])
    assert found.sort("n")["p"].to_list() == [b"abc"] * 3 + [b"\xff\x00\\"] * 3


def test_a_compaction_adds_nothing(tmp_path):
    for number in range(3):
        append(tmp_path / "t", [number])
    source, positions = DeltaSource(str(tmp_path / "t"), 0), {}
    assert len(pl.concat(read(source, positions, 100))) == 3
    DeltaTable(str(tmp_path / "t")).optimize.compact()
    append(tmp_path / "t", [3])
    assert pl.concat(read(source, positions, 100))["n"].to_list() == [3]


def test_a_version_that_takes_rows_away_ends_the_job_with_a_line(tmp_path):
    append(tmp_path / "t", range(3))
    source, positions = DeltaSource(str(tmp_path / "t"), 0), {}
    read(source, positions, 100)
    DeltaTable(str(tmp_path / "t")).delete("n = 1")
    with pytest.raises(UserError, match=r"version 1 takes rows away .* only a table that is appended to"):
        source.plan(positions, 100, {}, whole=False)


def test_a_table_made_again_and_a_log_that_is_gone_are_said(tmp_path):
    append(tmp_path / "t", range(3))
    source, positions = DeltaSource(str(tmp_path / "t"), 0), {}
    read(source, positions, 100)
    append(tmp_path / "t", [3])
    append(tmp_path / "t", [4])
    DeltaTable(str(tmp_path / "t")).create_checkpoint()
    (tmp_path / "t" / "_delta_log" / f"{1:020d}.json").unlink()
    with pytest.raises(UserError, match="log of version 1 was removed before it was read"):
        source.plan(positions, 100, {}, whole=False)
    shutil.rmtree(tmp_path / "t")
    append(tmp_path / "t", range(3))
    with pytest.raises(UserError, match="was made again"):
        source.plan(positions, 100, {}, whole=False)


def clean_up(place, *versions: int) -> None:
    """As Delta does once versions are old enough."""
    DeltaTable(str(place)).create_checkpoint()
    for version in versions:
        (place / "_delta_log" / f"{version:020d}.json").unlink()


@pytest.mark.parametrize("most", [2, 100])
def test_a_log_that_is_cleaned_up_after_it_was_read_is_not_missed(tmp_path, most):
    append(tmp_path / "t", range(4))
    source, positions, found = DeltaSource(str(tmp_path / "t"), 0), {}, []
    for number in range(4, 7):
        found += read(source, positions, most)
        append(tmp_path / "t", [number])
        clean_up(tmp_path / "t", number - 4)
    found += read(DeltaSource(str(tmp_path / "t"), 0), positions, most)
    assert pl.concat(found)["n"].to_list() == list(range(7))


def test_a_log_that_is_cleaned_up_while_the_table_is_read_is_said(tmp_path):
    append(tmp_path / "t", range(4))
    source, positions = DeltaSource(str(tmp_path / "t"), 0), {}
    read(source, positions, 2, epochs=1)
    for _ in range(2):
        append(tmp_path / "t", [4])
    clean_up(tmp_path / "t", 0, 1)
    with pytest.raises(UserError, match="log of version 0 was removed before it was read"):
        source.plan(positions, 2, {}, whole=False)


def commit(place, version: int, *actions: dict[str, Any]) -> None:
    """A version by another writer than ours."""
    (place / "_delta_log" / f"{version:020d}.json").write_text("\n".join(map(json.dumps, actions)))


def test_columns_that_files_name_otherwise_are_refused_whenever_that_begins(tmp_path):
    append(tmp_path / "t", range(3))
    source, positions = DeltaSource(str(tmp_path / "t"), 0), {}
    source.check()
    read(source, positions, 100)
    first = (tmp_path / "t" / "_delta_log" / f"{0:020d}.json").read_text().splitlines()
    [known] = [action["metaData"] for action in map(json.loads, first) if "metaData" in action]
    schema = json.loads(known["schemaString"])
    for number, field in enumerate(schema["fields"]):
        field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
    schema["fields"][0]["name"] = "renamed"
    by_name = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"}
    renamed = {"metaData": {**known, "configuration": by_name, "schemaString": json.dumps(schema)}}
    commit(tmp_path / "t", 1, {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, renamed)
    for look in (source.check, lambda: source.plan(positions, 100, {}, whole=False)):
        with pytest.raises(UserError, match="a table with columnMapping cannot be followed"):
            look()


def test_a_file_that_was_vacuumed_is_said(tmp_path):
    append(tmp_path / "t", range(3))
    source = DeltaSource(str(tmp_path / "t"), 0)
    [split] = source.plan({}, 100, {}, whole=False).splits
    Path(split.uri).unlink()
    with pytest.raises(JobError, match="cannot be read"):
        list(source.reader().read(split))


@pytest.mark.slow
def test_a_table_in_a_bucket(moto, monkeypatch):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    bucket = f"tables-{uuid.uuid4().hex[:8]}"
    s3.client(moto).create_bucket(Bucket=bucket)
    place, endpoint = f"s3://{bucket}/t", moto.facts["url"]
    append(place, range(5), storage_options(place, endpoint))
    source = open_source(place, SourceContext(0, max_files=9, s3_endpoint=endpoint))
    positions: dict[str, object] = {}
    assert [frame.height for frame in read(source, positions, 2)] == [2, 2, 1]
    append(place, [5], storage_options(place, endpoint))
    assert pl.concat(read(source, positions, 100))["n"].to_list() == [5]
    rows = pl.DataFrame({"n": range(7), "p": ["a b", "a+b", "50%", "x:y", "p/q", "é", "%20"]})
    other = f"s3://{bucket}/a b/t+é 5%"
    write_deltalake(other, rows, partition_by=["p"], storage_options=storage_options(other, endpoint))
    found = pl.concat(read(open_source(other, SourceContext(0, max_files=9, s3_endpoint=endpoint)), {}, 100))
    assert found.sort("n").select("n", "p").equals(rows)
    with pytest.raises(UserError, match=f"--source: s3://{bucket}/gone: there is no Delta table"):
        open_source(f"s3://{bucket}/gone", SourceContext(0, max_files=9, s3_endpoint=endpoint))
    with pytest.raises(UserError, match="--source: s3://nowhere/t: there is no such bucket"):
        open_source("s3://nowhere/t", SourceContext(0, max_files=9, s3_endpoint=endpoint))
