"""Partition values come from the table's log, typed by its schema, whatever they hold."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from ecompulse.epochs.errors import UserError
from ecompulse.io.delta import DeltaSource
from ecompulse.io.sources import SourceContext, open_source

HOSTILE = [
    "a b",
    "a+b",
    "50%",
    "x:y",
    "p/q",
    "é",
    "#1",
    "a=b",
    "q'uote",
    "*",
    "[1]",
    "?",
    "%20",
    "{z}",
    "a\\b",
    "tr ",
    "..",
]
TYPED = {
    "i": pa.array([1, None], pa.int64()),
    "s": pa.array([2, None], pa.int16()),
    "b": pa.array([True, None]),
    "d": pa.array([dt.date(2026, 3, 1), None]),
    "t": pa.array([dt.datetime(2026, 3, 1, 1, 2, 3, 456789, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
    "n": pa.array([dt.datetime.fromisoformat("2026-03-01T01:02:03"), None], pa.timestamp("us")),
    "m": pa.array([Decimal("1.50"), None]),
    "f": pa.array([1.5, None]),
    "x": pa.array([b"a\x00\xff\\", None]),
    "text": pa.array(["007", None]),
}


def read(place):
    source, positions, frames = DeltaSource(str(place), 0), {}, []
    while (backlog := source.plan(positions, 5, {}, whole=False)).splits:
        frames += [frame for split in backlog.splits for frame in source.reader().read(split)]
        positions.update(backlog.positions)
    return pl.concat(frames), positions


@pytest.mark.parametrize("later", [False, True], ids=["as it stands", "as it is appended to"])
def test_hostile_values_are_what_was_written(tmp_path, later):
    if later:
        write_deltalake(str(tmp_path / "t"), pa.table({"n": [-1], "p": ["first"]}), partition_by=["p"])
        _, positions = read(tmp_path / "t")
    rows = pa.table({"n": range(len(HOSTILE)), "p": HOSTILE})
    write_deltalake(str(tmp_path / "t"), rows, partition_by=["p"], mode="append")
    if later:
        source = DeltaSource(str(tmp_path / "t"), 0)
        splits = source.plan(positions, 1000, {}, whole=False).splits
        frame = pl.concat([frame for split in splits for frame in source.reader().read(split)])
    else:
        frame, _ = read(tmp_path / "t")
    assert frame.sort("n").select("n", "p").rows() == list(enumerate(HOSTILE))


def test_values_have_the_type_of_their_column(tmp_path):
    table = pa.table({**TYPED, "row": [1, 2]})
    write_deltalake(str(tmp_path / "t"), table, partition_by=list(TYPED))
    frame, _ = read(tmp_path / "t")
    expected = pl.DataFrame(DeltaTable(str(tmp_path / "t")).to_pyarrow_table()).sort("row")
    written = pl.Series("x", TYPED["x"].to_pylist())  # which deltalake leaves as the log has it: "\\u0061\\u0000"
    expected = expected.with_columns(written)
    found = frame.select(expected.columns).sort("row")
    assert found.rows() == expected.rows()
    assert found.schema == expected.schema


@pytest.mark.parametrize("name", ["t[1]", "a%20b", "a\\b", "a\nb"])
def test_a_place_that_deltalake_would_not_find_again_is_refused(tmp_path, name):
    (tmp_path / name / "_delta_log").mkdir(parents=True)
    with pytest.raises(UserError, match=r"--source: .*Delta tables cannot be below a path with"):
        open_source(str(tmp_path / name), SourceContext(0, max_files=9))


def test_a_partition_may_be_named_as_a_position_is(tmp_path):
    write_deltalake(str(tmp_path / "t"), pa.table({"source_offset": [5], "source": ["mail"]}), partition_by=["source"])
    frame, _ = read(tmp_path / "t")
    assert frame.select("\x00source", "\x00source_offset", "source_offset").rows() == [("mail", 5, 0)]
