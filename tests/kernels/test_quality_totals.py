from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA, TotalQuality, book
from ecompulse.kernels.step import END_OF_TIME
from support.examples import examples
from support.harness import run_kernel
from support.streams import arrivals, cuts

WINDOW = 60_000


def partials(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(
        window_start=pl.col("event_time").dt.truncate("1m"),
        check_name=pl.lit("null_rate"),
        subject=pl.col("category"),
        count=pl.lit(1, pl.Int64),
        rows=pl.lit(2, pl.Int64),
    ).select(*PARTIAL_SCHEMA, "event_time", "source", "source_partition", "source_offset")


@examples(50)
@given(arrivals({"category": st.sampled_from(["a", "b"])}, span=600_000, delay=90_000), st.data())
def test_totals_equal_a_count_in_plain_python(events, data):
    given_cuts = data.draw(cuts(events.height))
    stream = partials(events)
    got = run_kernel(TotalQuality(WINDOW), stream, cuts=given_cuts, num_shards=3, delay=90_000)["data_quality"]
    wanted = Counter((row["window_start"], row["subject"]) for row in stream.to_dicts())
    assert {(r["window_start"], r["subject"]): r["count"] for r in got.to_dicts()} == dict(wanted)
    assert got["id"].n_unique() == got.height
    assert (got["rows"] == 2 * got["count"]).all()


def test_counts_of_a_closed_window_are_booked_in_the_first_open_one():
    partial = pl.DataFrame(
        {"window_start": [0, 60_000, 180_000], "check_name": "late", "subject": "x", "count": 1, "rows": 1},
        schema_overrides={"window_start": PARTIAL_SCHEMA["window_start"]},
    )
    booked = book(partial, WINDOW, watermark=125_000)
    assert booked["window_start"].dt.epoch("ms").to_list() == [120_000, 120_000, 180_000]
    assert book(partial, WINDOW, watermark=-1).equals(partial)
    assert book(partial, WINDOW, watermark=END_OF_TIME).equals(partial)
