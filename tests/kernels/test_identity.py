from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA, ORDER, TIME
from ecompulse.kernels.identity import NEEDED, ResolveIdentity
from ecompulse.kernels.step import END_OF_TIME
from support.examples import examples
from support.harness import run_kernel
from support.stepping import OneShard, rearranged, some
from support.streams import BASE, cuts

DELAY = 600_000
LEAN = pl.Schema({name: FRAME_SCHEMA[name] for name in ("event_id", *NEEDED)})
FIELDS = {
    "event_type": st.sampled_from(["page_view", "page_view", "login", "logout"]),
    "user_id": st.sampled_from([None, None, "u1", "u2"]),
    "anonymous_id": st.sampled_from([None, "d1", "d2", "u1"]),
}


def frame(*rows: tuple[str, int, str | None, str | None]) -> pl.DataFrame:
    """Rows of (event_type, ms after BASE, anonymous_id, user_id); event_id is the row's number."""
    made = [
        {
            "event_id": str(number),
            "event_type": kind,
            "event_time": BASE + at,
            "anonymous_id": device,
            "user_id": user,
            "source": "test",
            "source_partition": 0,
            "source_offset": BASE + number,
        }
        for number, (kind, at, device, user) in enumerate(rows)
    ]
    schema = {**LEAN, "event_time": pl.Int64()}
    return pl.DataFrame(made, schema=schema).with_columns(pl.col("event_time").cast(TIME))


def visitors(found: pl.DataFrame) -> dict[str, str]:
    return dict(found.select("event_id", "visitor").rows())


def oracle(stream: pl.DataFrame, lapse: int) -> dict[str, str]:
    known: dict[str, tuple[str, int]] = {}
    visitor = {}
    for row in stream.sort(ORDER).iter_rows(named=True):
        device, user, now = row["anonymous_id"], row["user_id"], int(row["event_time"].timestamp() * 1000)
        if device is not None and user is not None:
            known[device] = (user, now)
        who = known.get(device) if device is not None else None
        if who is not None and now - who[1] < lapse:
            visitor[row["event_id"]] = who[0]
        else:
            visitor[row["event_id"]] = user if user is not None else device
        if row["event_type"] == "logout":
            known.pop(device, None)
    return visitor


@examples(50)
@given(
    data=st.data(),
    lapse=st.sampled_from([0, 1000, 1_200_000, 30 * 86_400_000]),
    seed=st.integers(0, 999),
)
def test_equals_the_walk_for_any_cut_order_and_sharding(data, lapse, seed):
    stream = data.draw(some(FIELDS, span=data.draw(st.sampled_from([10_000, 3_600_000, 200_000_000]))))
    expected = oracle(stream, lapse)
    stream = rearranged(stream, seed, DELAY)
    at, shards = data.draw(cuts(stream.height)), data.draw(st.integers(1, 3))
    kernel = ResolveIdentity(columns=LEAN, lapse=lapse, settles=data.draw(st.booleans()))
    found = run_kernel(kernel, stream, cuts=at, num_shards=shards, delay=DELAY)["identified"]
    assert found.height == stream.height
    assert visitors(found) == expected


@examples(15)
@given(data=st.data(), settles=st.booleans())
def test_late_rows_come_out_once_too(data, settles):
    stream = data.draw(some(FIELDS))
    kernel = ResolveIdentity(columns=LEAN, settles=settles)
    found = run_kernel(kernel, stream, cuts=data.draw(cuts(stream.height)), num_shards=2, delay=1000)["identified"]
    assert Counter(found["event_id"]) == Counter(stream["event_id"])
    own = found.filter(pl.col("user_id").is_not_null())
    assert own["visitor"].equals(own["user_id"], null_equal=True)
    assert found["visitor"].null_count() == stream.filter(pl.coalesce("user_id", "anonymous_id").is_null()).height


def test_a_row_waits_until_the_watermark_has_passed_it():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    assert shard.step(frame(("page_view", 5000, "d", None)), -1)["identified"].is_empty()
    late_login = frame(("page_view", 9000, "d", None), ("login", 4000, "d", "u")).tail(1)
    assert visitors(shard.step(late_login, BASE + 4000)["identified"]) == {"1": "u"}
    assert shard.step(frame(), BASE + 5000)["identified"].is_empty()
    assert visitors(shard.step(frame(), BASE + 5001)["identified"]) == {"0": "u"}
    assert shard.rows("pending").is_empty()


def test_with_settles_every_row_waits_and_says_whether_it_came_late():
    shard = OneShard(ResolveIdentity(columns=LEAN, settles=True))
    assert shard.step(frame(("login", 5000, "d", "u"), ("page_view", 6000, None, "v")), -1)["identified"].is_empty()
    found = shard.step(frame(("page_view", 4000, "d", None)), BASE + 5500)["identified"]
    assert found.sort("event_time").select("event_type", "visitor", "came_late").rows() == [
        ("page_view", "d", True),
        ("login", "u", False),
    ]
    drained = shard.step(frame(("page_view", 4500, "e", None)), END_OF_TIME)["identified"]
    assert sorted(drained.select("visitor", "came_late").rows()) == [("e", False), ("v", False)]


def test_rows_at_the_watermark_are_not_late():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    rows = frame(
        ("login", 0, "d", "u"),
        ("page_view", 4000, "d", None),
        ("login", 4000, "d", "v"),
        ("page_view", 4000, "d", None),
        ("logout", 4000, "d", None),
        ("page_view", 4001, "d", None),
    )
    shard.step(rows[:1], -1)
    found = [shard.step(rows[n : n + 1], BASE + 4000)["identified"] for n in (4, 5, 3, 2, 1)]
    assert visitors(pl.concat(found)) == {"2": "v"}
    assert visitors(shard.step(frame(), BASE + 4002)["identified"]) == {"1": "u", "3": "v", "4": "v", "5": "d"}


def test_an_identity_serves_events_until_it_lapses():
    shard = OneShard(ResolveIdentity(columns=LEAN, lapse=1000))
    rows = [("page_view", at, "d", None) for at in (999, 1000)]
    shard.step(frame(("login", 0, "d", "u"), *rows), -1)
    assert visitors(shard.step(frame(), END_OF_TIME)["identified"]) == {"1": "u", "2": "d"}


def test_a_lone_logout_is_forgotten_once_settled():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    shard.step(frame(("logout", 0, "d", "u")), -1)
    assert shard.state.next_due() == BASE + 1
    shard.step(frame(), BASE + 1)
    assert shard.rows("identities").is_empty()


def test_what_a_draining_step_reads_is_known_tomorrow():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    shard.step(frame(("login", 0, "d", "u")), END_OF_TIME)
    assert shard.rows("identities")["user_id"].to_list() == ["u"]


def test_rows_that_name_their_user_or_no_device_do_not_wait():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    out = shard.step(frame(("page_view", 5000, "d", "u"), ("page_view", 5000, None, "v")), -1)
    assert visitors(out["identified"]) == {"0": "u", "1": "v"}


def test_logout_belongs_to_the_user_who_leaves_and_another_user_replaces_the_first():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    rows = frame(
        ("page_view", 0, "d", None),
        ("login", 1000, "d", "u"),
        ("page_view", 1000, "d", None),
        ("logout", 2000, "d", None),
        ("page_view", 2000, "d", None),
        ("login", 3000, "d", "u"),
        ("login", 4000, "d", "w"),
        ("page_view", 5000, "d", None),
    )
    out = shard.step(rows, -1)["identified"], shard.step(frame(), END_OF_TIME)["identified"]
    assert visitors(pl.concat(out)) == dict(zip("01234567", ["d", "u", "u", "u", "d", "u", "w", "w"], strict=True))


def test_at_rest_a_device_costs_one_row_and_a_signed_out_one_none():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    rows = [("page_view", at, "d", "u") for at in range(0, 9000, 1000)]
    shard.step(frame(*rows, ("login", 0, "gone", "v"), ("logout", 500, "gone", None)), -1)
    assert shard.rows("identities").height == 11
    shard.step(frame(), BASE + 8001)
    assert shard.rows("identities").select("anonymous_id", "user_id").rows() == [("d", "u")]


def test_a_lapsed_identity_is_tidied_at_the_next_midnight_but_not_by_draining():
    lapse = 1000
    shard = OneShard(ResolveIdentity(columns=LEAN, lapse=lapse))
    shard.step(frame(("login", 0, "d", "u")), -1)
    shard.step(frame(), END_OF_TIME)
    assert shard.rows("identities").height == 1
    midnight = -(-(BASE + lapse) // 86_400_000) * 86_400_000
    assert shard.state.next_due() == midnight
    shard.step(frame(), midnight)
    assert shard.rows("identities").is_empty()


def test_anonymous_browsing_leaves_no_identity_behind():
    shard = OneShard(ResolveIdentity(columns=LEAN))
    shard.step(frame(("page_view", 0, "d", None)), -1)
    shard.step(frame(), BASE + 1)
    assert shard.rows("identities").is_empty()


def test_keys_are_never_null_and_keep_users_apart_from_devices():
    keys = ResolveIdentity().key(frame(("login", 0, "x", "u"), ("login", 0, None, "x"), ("login", 0, None, None)))
    assert keys.null_count() == 0
    assert keys.n_unique() == 3


def test_columns_that_are_needed_or_reserved_are_named():
    with pytest.raises(ValueError, match="identity: columns must also have user_id"):
        ResolveIdentity(columns=pl.Schema({n: LEAN[n] for n in LEAN if n != "user_id"}))
    with pytest.raises(ValueError, match="the kernel's own: _due"):
        ResolveIdentity(columns=pl.Schema({**LEAN, "_due": pl.Int64()}))
