"""A job over a Delta table finds what it finds in a Parquet file of the same rows."""

import json

import polars as pl
import pytest
from deltalake import write_deltalake
from polars.testing import assert_frame_equal

from support.place import Place
from support.process import events

pytestmark = pytest.mark.slow


def test_a_table_is_read_like_a_file_and_followed(tmp_path):
    rows = [event for event in map(json.loads, events(400)) if event["price"] != "cheap"]
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "events.parquet")
    write_deltalake(str(tmp_path / "table"), frame[:100])
    write_deltalake(str(tmp_path / "table"), frame[100:250], mode="append")
    flags = ("--watermark_delay=30s", "--max_records_per_epoch=70")
    whole = Place(tmp_path / "file", tmp_path / "events.parquet", flags)
    followed = Place(tmp_path / "followed", tmp_path / "table", flags)
    assert whole.run("--drain") == 0
    assert followed.run() == 0
    write_deltalake(str(tmp_path / "table"), frame[250:], mode="append")
    assert followed.run("--drain") == 0
    found, expected = followed.tables(), whole.tables()
    for name in ("enriched_events", "data_quality"):
        drop = [
            column for column in ("source", "source_partition", "source_offset") if column in expected[name].columns
        ]
        assert_frame_equal(found[name].drop(drop), expected[name].drop(drop), check_row_order=False)
