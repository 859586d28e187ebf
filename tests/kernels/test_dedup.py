from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.dedup import REFERENCES, Deduplicate
from ecompulse.kernels.event import ORDER, TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.examples import examples
from support.harness import run_kernel, watermarks
from support.stepping import OneShard, rearranged, some
from support.streams import BASE, cuts

DELAY = 600_000
REES46 = Path(__file__).parents[3] / "shared/data/rees46_2019-10-01_part1.csv.gz"


def frame(*rows: tuple[str, int, int]) -> pl.DataFrame:
    """Rows of (event_id, ms after BASE, offset)."""
    made = [(id_, BASE + at, "test", 0, offset) for id_, at, offset in rows]
    schema = {**REFERENCES, "event_time": pl.Int64()}
    return pl.DataFrame(made, schema=schema, orient="row").with_columns(pl.col("event_time").cast(TIME))


def counts(quality: pl.DataFrame) -> dict[str, int]:
    return dict(quality.group_by("check_name").agg(pl.col("count").sum()).rows())


def oracle(stream: pl.DataFrame, at: list[int], kernel: Deduplicate, delay: int) -> tuple[list, int, int]:
    seen: dict[str, int] = {}
    passed, duplicates, unjudged = [], 0, 0
    for rows, watermark in watermarks(stream, at, delay):
        before, here = {id_: t for id_, t in seen.items() if t + kernel.horizon >= watermark}, {}
        for row in rows.sort(ORDER).iter_rows(named=True):
            id_, t = row["event_id"], int(row["event_time"].timestamp() * 1000)
            if (id_ in before and t <= before[id_] + kernel.horizon) or (
                id_ in here and t - here[id_] <= kernel.horizon
            ):
                duplicates += 1
            else:
                passed.append((id_, row["source_partition"], row["source_offset"]))
                unjudged += t + kernel.horizon < watermark
            here[id_] = t
        seen = before | {id_: max(t, before.get(id_, t)) for id_, t in here.items()}
    return sorted(passed), duplicates, unjudged


@examples(60)
@given(data=st.data(), horizon=st.sampled_from([0, 1000, 60_000, DELAY]), delay=st.sampled_from([5000, DELAY]))
def test_any_copies_equal_the_walk_row_by_row(data, horizon, delay):
    stream = data.draw(some({"event_id": st.sampled_from(["a", "b", "c", "d"])}, span=1_800_000))
    at, shards = data.draw(cuts(stream.height)), data.draw(st.integers(1, 3))
    kernel = Deduplicate(horizon=horizon)
    found = run_kernel(kernel, stream, cuts=at, num_shards=shards, delay=delay)
    passed, duplicates, unjudged = oracle(stream, at, kernel, delay)
    assert sorted(found["unique"].select("event_id", "source_partition", "source_offset").rows()) == passed
    told = counts(found["quality"])
    assert (told.get("duplicate", 0), told.get("unjudged", 0)) == (duplicates, unjudged)


@examples(60)
@given(data=st.data(), horizon=st.sampled_from([0, 60_000, DELAY]), seed=st.integers(0, 999))
def test_equal_copies_leave_one_row_in_any_cut_order_and_sharding(data, horizon, seed):
    stream = data.draw(some({"query": st.sampled_from(["x", "y"])}, span=60_000, delay=DELAY))
    # The id holds the time: copies are equal.
    stream = stream.with_columns(event_id=pl.col("event_time").cast(pl.String) + pl.col("query"))
    at, shards = data.draw(cuts(stream.height)), data.draw(st.integers(1, 3))
    found = run_kernel(
        Deduplicate(horizon=horizon), rearranged(stream, seed, DELAY), cuts=at, num_shards=shards, delay=DELAY
    )
    expected = stream.select("event_id", "event_time").unique().sort("event_id")
    assert found["unique"].select("event_id", "event_time").sort("event_id").equals(expected)
    assert counts(found["quality"]).get("duplicate", 0) == stream.height - expected.height
    per_window = stream.group_by(pl.col("event_time").dt.truncate("1m")).agg(
        pl.len() - pl.struct("event_id").n_unique()
    )
    told = found["quality"].group_by("window_start").agg(pl.col("count").sum())
    assert sorted(told.rows()) == sorted(row for row in per_window.rows() if row[1])


def test_of_unequal_copies_in_one_step_the_first_by_order_passes():
    shard = OneShard(Deduplicate())
    out = shard.step(frame(("a", 5000, 1), ("a", 2000, 3), ("a", 2000, 2)), -1)
    assert out["unique"]["source_offset"].to_list() == [2]
    assert counts(out["quality"]) == {"duplicate": 2}


def test_of_unequal_copies_in_two_steps_the_one_that_came_first_stands():
    shard = OneShard(Deduplicate())
    assert shard.step(frame(("a", 5000, 1)), -1)["unique"].height == 1
    assert shard.step(frame(("a", 2000, 2)), -1)["unique"].is_empty()


def test_copies_further_apart_than_the_horizon_are_two_events():
    shard = OneShard(Deduplicate(horizon=1000))
    out = shard.step(frame(("a", 0, 1), ("a", 1000, 2), ("a", 2001, 3)), -1)
    assert out["unique"]["source_offset"].to_list() == [1, 3]


def test_the_horizon_is_inclusive_between_steps_too():
    shard = OneShard(Deduplicate(horizon=1000))
    shard.step(frame(("a", 0, 1), ("b", 0, 2)), -1)
    assert shard.step(frame(("a", 1000, 3), ("b", 1001, 4)), -1)["unique"]["event_id"].to_list() == ["b"]


def test_what_is_older_than_the_horizon_passes_and_is_counted():
    shard = OneShard(Deduplicate(horizon=1000))
    out = shard.step(frame(("a", 0, 1), ("b", 4000, 2)), BASE + 5000)
    assert out["unique"].height == 2
    assert counts(out["quality"]) == {"unjudged": 1}
    assert shard.rows("seen")["event_id"].to_list() == ["b"]


def test_state_is_two_numbers_and_expires():
    kernel = Deduplicate(horizon=1000)
    (table,) = kernel.tables
    assert not table.keep_key
    assert table.schema == pl.Schema({"event_id": pl.String(), "expires": pl.Int64()})
    shard = OneShard(kernel)
    shard.step(frame(("a", 0, 1)), -1)
    shard.step(frame(), BASE + 1000)
    assert shard.rows("seen").height == 1
    shard.step(frame(), BASE + 1001)
    assert shard.rows("seen").is_empty()


def test_what_is_remembered_ends_with_the_watermark_not_with_the_next_step_of_its_shard():
    shard = OneShard(Deduplicate(horizon=1000))
    shard.step(frame(("a", 0, 1)), -1)  # the view drops nothing until the shard has had a later step
    step = shard.kernel.step(shard.state, frame(("a", 0, 2)), Clock(epoch=9, watermark=BASE + 3000, now=0))
    assert step.outputs["unique"].height == 1
    assert counts(step.outputs["quality"]) == {"unjudged": 1}


def test_a_drain_forgets_nothing():
    shard = OneShard(Deduplicate(horizon=1000))
    shard.step(frame(("a", 0, 1)), -1)
    step = shard.kernel.step(shard.state, frame(("a", 0, 2)), Clock(epoch=2, watermark=END_OF_TIME, now=0))
    assert step.outputs["unique"].is_empty()


def test_an_equal_copy_writes_no_state():
    shard = OneShard(Deduplicate())
    shard.step(frame(("a", 0, 1)), -1)
    done = shard.kernel.step(shard.state, frame(("a", 0, 2)), Clock(epoch=2, watermark=-1, now=0))
    assert done.changes["seen"].keys.is_empty()


@pytest.mark.skipif(not REES46.exists(), reason="shared/data is not there")
def test_rees46_part_1_has_four_duplicates():
    shop = pl.read_csv(REES46, infer_schema=False)
    time = pl.col("event_time").str.to_datetime("%Y-%m-%d %H:%M:%S UTC", time_unit="ms", time_zone="UTC")
    stream = shop.select(
        event_id=row_id(*shop.columns),
        event_time=time,
        source=pl.lit("rees46"),
        source_partition=pl.lit(0, pl.Int32),
        source_offset=pl.int_range(pl.len()),
    )
    found = run_kernel(Deduplicate(), stream, cuts=[1000, 1001, 5000, 9000], num_shards=4)
    assert found["unique"].height == shop.unique().height == shop.height - 4
    assert counts(found["quality"]) == {"duplicate": 4}


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="dedup: horizon must be 0 ms or more, not -1"):
        Deduplicate(horizon=-1)
    with pytest.raises(ValueError, match="dedup: columns must also have event_id"):
        Deduplicate(columns=pl.Schema({name: pl.String() for name in ORDER}))
    with pytest.raises(ValueError, match="window must be 1 ms or more"):
        Deduplicate(window=0)


def test_a_drained_step_passes_what_it_is_given():
    out = OneShard(Deduplicate()).step(frame(("a", 0, 1)), END_OF_TIME)
    assert out["unique"].height == 1
