import apache_beam as beam
import polars as pl
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st

from ecompulse.epochs.coders import decode, encode
from ecompulse.epochs.keyed import Keyed, require_bounded, split_by_shard
from ecompulse.kernels.hashing import shard_of
from ecompulse.transforms.enrich import EnrichEvents
from ecompulse.transforms.sessionize import SessionizeEvents
from support.toy import ROWS, CountPerKey


def frame(rows):
    return pl.DataFrame(rows, schema={**ROWS, "event_time": pl.Int64()}, orient="row").with_columns(
        pl.col("event_time").cast(ROWS["event_time"])
    )


ROW = st.tuples(st.uuids().map(str), st.sampled_from("abcdef"), st.integers(-5, 5), st.integers(0, 20_000))


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, max_size=50), st.integers(1, 7))
def test_splitting_by_shard_keeps_every_row_in_its_shard(rows, num_shards):
    kernel, whole = CountPerKey(), frame(rows)
    parts = dict(split_by_shard(whole, kernel, num_shards))
    assert sorted(row for part in parts.values() for row in part.rows()) == sorted(whole.rows())
    for shard, part in parts.items():
        assert set(shard_of(kernel.key(part), num_shards)) == {shard}
        assert decode(encode(part)).equals(part)


def test_a_plain_bounded_pipeline_needs_no_epochs():
    """Without a binding the input is the whole world: everything closes at its end."""
    rows = [("1", "a", 2, 1_000), ("2", "a", 3, 1_500), ("3", "b", 4, 9_000)]

    def check(frames):
        totals = pl.concat(frames).sort("key")
        assert totals.select("key", "rows", "total").rows() == [("a@1", 2, 5), ("b@9", 1, 4)]

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        frames = pipeline | beam.Create([frame(rows[:1]), frame(rows[1:])]).with_output_types(pl.DataFrame)
        assert_that((frames | Keyed(CountPerKey(), num_shards=2))["totals"], check)


@pytest.mark.parametrize("transform", [Keyed(CountPerKey()), SessionizeEvents(), EnrichEvents(None, None)])
def test_an_unbounded_input_is_refused_at_construction(transform):
    class Endless:
        is_bounded = False

    with pytest.raises(ValueError, match="unbounded; run it in epochs"):
        transform.expand(Endless())
    require_bounded(type("Bounded", (), {"is_bounded": True})(), "x")
