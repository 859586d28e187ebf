import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.coders import decode, encode
from ecompulse.epochs.counted import FACTS
from ecompulse.epochs.keyed import Keyed, StepShard, require_bounded, split_by_shard
from ecompulse.epochs.shard_input import ShardInput, ShardInputCoder
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.hashing import shard_of
from ecompulse.kernels.step import Change, Clock, Step, Table
from ecompulse.transforms.enrich import EnrichEvents
from ecompulse.transforms.sessionize import SessionizeEvents
from support.examples import examples
from support.toy import ROWS, CountPerKey


def frame(rows):
    return pl.DataFrame(rows, schema={**ROWS, "event_time": pl.Int64()}, orient="row").with_columns(
        pl.col("event_time").cast(ROWS["event_time"])
    )


ROW = st.tuples(st.uuids().map(str), st.sampled_from("abcdef"), st.integers(-5, 5), st.integers(0, 20_000))


@examples(40)
@given(st.lists(ROW, max_size=50), st.integers(1, 7))
def test_splitting_by_shard_keeps_every_row_in_its_shard(rows, num_shards):
    kernel, whole = CountPerKey(), frame(rows)
    parts = dict(split_by_shard(whole, kernel, num_shards))
    assert sorted(row for part in parts.values() for row in part.rows()) == sorted(whole.rows())
    for shard, part in parts.items():
        assert set(shard_of(kernel.key(part), num_shards)) == {shard}
        assert decode(encode(part)).equals(part)


def test_what_is_shuffled_is_the_same_after_it_has_travelled():
    coder = ShardInputCoder()
    rows, head = frame([("1", "a", 2, 1_000)]), {"clock": {"epoch": 1}, "head": None}
    for _ in range(2):
        came, told = (coder.decode(coder.encode(each)) for each in (ShardInput(rows), ShardInput(head=head)))
        assert came.rows is not None
        assert came.rows.equals(rows)
        assert (came.head, told.rows, told.head) == (None, None, head)


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


@dataclass(frozen=True)
class Remember:
    """Says of each row whether its key came within 10 s of event time, as far as is still remembered."""

    name: str = "remember"
    version: int = 1
    inputs: pl.Schema = field(default_factory=lambda: ROWS)
    outputs: Mapping[str, pl.Schema] = field(default_factory=lambda: {"known": pl.Schema({"key": pl.String()})})
    tables: tuple[Table, ...] = (
        Table("seen", pl.Schema({"key": pl.String(), "expires": pl.Int64()}), "key", expires="expires"),
    )

    def key(self, batch):
        return batch["key"]

    def step(self, state, batch, clock):
        del clock
        seen = batch.select("key", expires=pl.col("event_time").dt.epoch("ms") + 10_000)
        return Step({"known": state.lookup("seen", batch["key"]).select("key")}, {"seen": Change(seen["key"], seen)})


@pytest.mark.parametrize("neighbour", [True, False])
def test_what_has_expired_does_not_depend_on_what_else_came_to_the_shard(tmp_path, neighbour):
    stepping, head, known = StepShard(Remember(), LocalStore(str(tmp_path))), None, []
    stepping.start_bundle()
    epochs = [
        (-1, [("1", "a", 0, 1_000)]),
        (30_000, [("2", "b", 0, 31_000)] * neighbour),
        (40_000, [("3", "a", 0, 2_000)]),
    ]
    for number, (watermark, rows) in enumerate(epochs, start=1):
        plan = {"clock": Clock(number, watermark, 0).__dict__, "attempt": "a", "head": head}
        payloads = [ShardInput(head=plan), *([ShardInput(frame(rows))] if rows else [])]
        outputs = list(stepping.process((0, payloads)))
        known += [found.value["key"].to_list() for found in outputs if found.tag == "known"]
        head = next(json.loads(found.value[1])["head"] for found in outputs if found.tag == FACTS)
    assert known == [], "the late row came after the watermark had passed what was remembered of its key"
