import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA, ORDER, TIME
from ecompulse.kernels.step import END_OF_TIME, Clock
from ecompulse.kernels.temporal_join import EVENT, SIDE, UPDATE, JoinVersions
from support.examples import examples
from support.harness import run_kernel, watermarks
from support.stepping import OneShard, rearranged, some
from support.streams import BASE, cuts

DELAY = 600_000
LEAN = pl.Schema({name: FRAME_SCHEMA[name] for name in ("event_id", "user_id", *ORDER)})
VALUES = pl.Schema({"user_plan": pl.String()})
FIELDS = {
    "user_id": st.sampled_from([None, "u1", "u1", "u2"]),
    "query": st.sampled_from([EVENT, EVENT, UPDATE]),
    "brand": st.sampled_from([None, "free", "paid"]),
}


def kernel(**how: int | None) -> JoinVersions:
    return JoinVersions(on="user_id", values=VALUES, columns=LEAN, prefix="user_", **how)


def both_sides(stream: pl.DataFrame) -> pl.DataFrame:
    """Make the stream's query column the side, its brand the updates' value."""
    update = pl.col("query") == UPDATE
    return stream.select(
        pl.when(~update).then("event_id").alias("event_id"),
        "user_id",
        *ORDER,
        user_plan=pl.when(update).then("brand"),
        side="query",
    )


def side(kind: str, *rows: tuple[int, str | None, str | None]) -> pl.DataFrame:
    """Rows of (ms after BASE, user_id, plan); offset and event_id are the row's time."""
    made = [
        {"event_id": str(at), "user_id": user, "event_time": BASE + at, "source": kind, "source_partition": 0,
         "source_offset": at, "user_plan": plan, SIDE: kind}
        for at, user, plan in rows
    ]  # fmt: skip
    schema = {**LEAN, "event_time": pl.Int64(), **VALUES, SIDE: pl.String()}
    return pl.DataFrame(made, schema=schema).with_columns(pl.col("event_time").cast(TIME))


def answer(row: dict, updates: pl.DataFrame, lapse: int | None) -> tuple:
    if row["user_id"] is None:
        return (row["event_id"], None, None, "no_key")
    best = None
    for update in updates.sort(ORDER).iter_rows(named=True):
        if update["user_id"] == row["user_id"] and update["event_time"] <= row["event_time"]:
            best = update
    if best is not None and lapse is not None:
        age = (row["event_time"] - best["event_time"]).total_seconds() * 1000
        best = best if age < lapse else None
    if best is None:
        return (row["event_id"], None, None, "no_version")
    return (row["event_id"], best["user_plan"], best["event_time"], "found")


def answers(found: pl.DataFrame) -> list[tuple]:
    return sorted(found.select("event_id", "user_plan", "user_version_at", "user_version_status").rows(), key=str)


@examples(40)
@given(
    data=st.data(),
    wait=st.sampled_from([1, 1000, 900_000]),
    lapse=st.sampled_from([None, 0, 60_000, 3_600_000]),
    seed=st.integers(0, 999),
)
def test_with_a_wait_the_version_in_force_whatever_the_cut_order_and_sharding(data, wait, lapse, seed):
    stream = both_sides(data.draw(some(FIELDS, span=data.draw(st.sampled_from([10_000, 3_600_000, 200_000_000])))))
    updates = stream.filter(side=UPDATE)
    expected = [answer(row, updates, lapse) for row in stream.filter(side=EVENT).iter_rows(named=True)]
    stream = rearranged(stream, seed, DELAY)
    at, shards = data.draw(cuts(stream.height)), data.draw(st.integers(1, 3))
    joined = kernel(wait=wait, lapse=lapse, retention=data.draw(st.sampled_from([0, DELAY])))
    found = run_kernel(joined, stream, cuts=at, num_shards=shards, delay=DELAY)
    assert answers(found["joined"]) == sorted(expected, key=str)


@examples(25)
@given(data=st.data(), lapse=st.sampled_from([None, 60_000]))
def test_without_a_wait_the_best_version_known_at_that_step(data, lapse):
    stream = both_sides(data.draw(some(FIELDS)))
    at, shards = data.draw(cuts(stream.height)), data.draw(st.integers(1, 3))
    expected, known = [], stream.clear()
    for rows, _ in watermarks(stream, at, DELAY):
        known = pl.concat([known, rows.filter(side=UPDATE)])
        expected += [answer(row, known, lapse) for row in rows.filter(side=EVENT).iter_rows(named=True)]
    found = run_kernel(kernel(lapse=lapse), stream, cuts=at, num_shards=shards, delay=DELAY, drain=False)
    assert answers(found["joined"]) == sorted(expected, key=str)


def test_an_event_waits_for_the_wait_and_not_for_updates():
    shard = OneShard(kernel(wait=1000))
    assert shard.step(side(EVENT, (5000, "u", None)), -1)["joined"].is_empty()
    assert shard.step(side(EVENT), BASE + 5999)["joined"].is_empty()
    shard.step(side(UPDATE, (5000, "u", "paid"), (5001, "u", "free")), BASE + 5999)
    found = shard.step(side(EVENT), BASE + 6000)["joined"]
    assert found["user_plan"].to_list() == ["paid"]
    assert shard.rows("held").is_empty()


def test_a_sparse_update_stream_stalls_nobody():
    shard = OneShard(kernel(wait=1000))
    shard.step(side(UPDATE, (0, "u", "old")), -1)
    shard.step(side(EVENT, (50_000_000, "u", None), (50_000_000, "v", None)), -1)
    found = shard.step(side(EVENT), BASE + 50_001_000)["joined"].sort("user_id")
    assert found["user_version_status"].to_list() == ["found", "no_version"]


def test_without_a_wait_nothing_is_held():
    assert [table.name for table in kernel().tables] == ["versions"]
    found = OneShard(kernel()).step(side(EVENT, (0, "u", None)), -1)["joined"]
    assert found["user_version_status"].to_list() == ["no_version"]


def test_at_rest_a_key_costs_one_version_and_late_events_find_theirs_within_the_retention():
    shard = OneShard(kernel(retention=1000))
    shard.step(side(UPDATE, (0, "u", "a"), (1000, "u", "b"), (2000, "u", "c")), -1)
    late = shard.step(side(EVENT, (1500, "u", None)), BASE + 2999)["joined"]
    assert late["user_plan"].to_list() == ["b"]
    shard.step(side(EVENT), BASE + 3000)
    assert shard.rows("versions")["user_plan"].to_list() == ["c"]
    lost = shard.step(side(EVENT, (1500, "u", None)), BASE + 3000)["joined"]
    assert lost["user_version_status"].to_list() == ["no_version"]


def test_of_versions_of_one_moment_the_last_by_position_counts():
    shard = OneShard(kernel())
    first, last = side(UPDATE, (0, "u", "first")), side(UPDATE, (0, "u", "last"))
    last = last.with_columns(source_partition=pl.lit(1, pl.Int32), source_offset=pl.lit(-1, pl.Int64))
    shard.step(last, -1)
    shard.step(first, -1)
    assert shard.rows("versions")["user_plan"].to_list() == ["last"]


def test_draining_leaves_the_versions_alone():
    shard = OneShard(kernel(retention=0, wait=10))
    shard.step(side(UPDATE, (0, "u", "a"), (5, "u", "b")), -1)
    done = shard.kernel.step(shard.state, side(EVENT), Clock(epoch=2, watermark=END_OF_TIME, now=0))
    assert done.changes["versions"].keys.is_empty()


def test_a_lapsed_version_is_tidied_after_midnight_but_not_by_draining():
    shard = OneShard(kernel(retention=0, lapse=1000))
    shard.step(side(UPDATE, (0, "u", "a")), -1)
    shard.step(side(EVENT), END_OF_TIME)
    assert shard.rows("versions").height == 1
    due = shard.state.next_due()
    assert due is not None
    assert due % 86_400_000 == 0
    shard.step(side(EVENT), due)
    assert shard.rows("versions").is_empty()


def test_sides_makes_the_frame_of_a_step():
    joined = kernel()
    events = side(EVENT, (5, "u", None), (6, None, None)).drop("user_plan", SIDE)
    updates = side(UPDATE, (4, "u", "paid")).drop("event_id", SIDE)
    found = OneShard(joined).step(joined.sides(events, updates), -1)["joined"]
    assert found["user_version_status"].to_list() == ["found", "no_key"]
    assert found["user_plan"].to_list() == ["paid", None]


def test_keys_are_never_null_and_spread():
    keys = kernel().key(side(EVENT, (1, None, None), (2, None, None), (3, "u", None)))
    assert keys.null_count() == 0
    assert keys.n_unique() == 3


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="both have event_id; rename one"):
        JoinVersions(on="user_id", values=pl.Schema({"event_id": pl.String()}), columns=LEAN)
    with pytest.raises(ValueError, match="columns must also have product_id"):
        JoinVersions(on="product_id", values=VALUES, columns=LEAN)
    with pytest.raises(ValueError, match="wait must be 0 ms or more, not -5"):
        kernel(wait=-5)
    with pytest.raises(ValueError, match="the key source_offset must be text"):
        JoinVersions(on="source_offset", values=VALUES, columns=LEAN)
