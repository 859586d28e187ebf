import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA, ORDER, TIME
from ecompulse.kernels.interval_join import NEEDED, MatchPayments
from ecompulse.kernels.step import END_OF_TIME
from support.examples import examples
from support.harness import run_kernel
from support.stepping import OneShard, rearranged, some
from support.streams import BASE, cuts

DELAY = 600_000
LEAN = pl.Schema({name: FRAME_SCHEMA[name] for name in ("event_id", *NEEDED)})
BETTER = {"captured": 4, "refunded": 3, "authorized": 2, "failed": 1}
FIELDS = {
    "event_type": st.sampled_from(["purchase", "purchase", "payment", "payment", "payment", "refund"]),
    "order_id": st.sampled_from([None, "o1", "o1", "o2", "o2"]),
    "payment_status": st.sampled_from([None, "captured", "failed", "failed", "authorized", "refunded", "odd"]),
}
SHOWN = ("event_id", "match_status", "payment_id", "payment_status", "payment_time")


def frame(*rows: tuple[str, int, str | None, str | None]) -> pl.DataFrame:
    """Rows of (event_type, ms after BASE, order_id, payment_status); event_id is the row's number."""
    made = [
        {
            "event_id": f"{kind[:3]}{at}",
            "event_type": kind,
            "event_time": BASE + at,
            "order_id": order,
            "payment_id": f"{kind[:3]}{at}" if kind == "payment" else None,
            "payment_status": status,
            "amount": None,
            "source": "test",
            "source_partition": 0,
            "source_offset": at,
        }
        for kind, at, order, status in rows
    ]
    schema = {**LEAN, "event_time": pl.Int64()}
    return pl.DataFrame(made, schema=schema).with_columns(pl.col("event_time").cast(TIME))


def outcome(row: dict, rows: list[dict], bound: int) -> tuple:
    own = (row["payment_id"], row["payment_status"])
    pay = row["event_type"] == "payment"
    if not pay and row["event_type"] != "purchase":
        return (row["event_id"], "not_applicable", *own, None)
    if row["order_id"] is None:
        return (row["event_id"], "no_order_id", *own, row["event_time"] if pay else None)
    near = [
        other
        for other in rows
        if other["order_id"] == row["order_id"]
        and other["event_type"] == ("purchase" if pay else "payment")
        and abs((other["event_time"] - row["event_time"]).total_seconds()) * 1000 <= bound
    ]
    if pay:
        return (row["event_id"], "matched" if near else "unmatched_payment", *own, row["event_time"])
    if not near:
        return (row["event_id"], "unmatched_purchase", *own, None)
    best = max(near, key=lambda p: (BETTER.get(p["payment_status"], 0), *(p[name] for name in ORDER)))
    return (row["event_id"], "matched", best["payment_id"], best["payment_status"], best["event_time"])


def shown(found: pl.DataFrame) -> list[tuple]:
    return sorted(found.select(SHOWN).rows(), key=str)


@examples(60)
@given(data=st.data(), bound=st.sampled_from([0, 1000, 900_000]), seed=st.integers(0, 999))
def test_equals_the_walk_for_any_cut_order_and_sharding(data, bound, seed):
    stream = data.draw(some(FIELDS, span=data.draw(st.sampled_from([10_000, 3_600_000, 20_000_000]))))
    paid = pl.col("event_type") == "payment"
    stream = stream.with_columns(
        payment_id=pl.when(paid).then("event_id"), payment_status=pl.when(paid).then("payment_status")
    )
    rows = stream.rows(named=True)
    expected = sorted((outcome(row, rows, bound) for row in rows), key=str)
    stream = rearranged(stream, seed, DELAY)
    at, shards = data.draw(cuts(stream.height)), data.draw(st.integers(1, 3))
    kernel = MatchPayments(columns=LEAN, bound=bound)
    found = run_kernel(kernel, stream, cuts=at, num_shards=shards, delay=DELAY)["matched"]
    assert shown(found) == expected


@examples(15)
@given(data=st.data())
def test_late_rows_come_out_once_too(data):
    stream = data.draw(some(FIELDS))
    at = data.draw(cuts(stream.height))
    found = run_kernel(MatchPayments(columns=LEAN, bound=60_000), stream, cuts=at, delay=1000)["matched"]
    assert sorted(found["event_id"]) == sorted(stream["event_id"])


def test_the_retry_that_was_captured_wins_over_a_later_failure_and_serves_all_lines():
    shard = OneShard(MatchPayments(columns=LEAN, bound=5000))
    shard.step(frame(("payment", 1000, "o", "failed"), ("purchase", 2000, "o", None)), -1)
    shard.step(frame(("payment", 3000, "o", "captured"), ("purchase", 2001, "o", None)), -1)
    shard.step(frame(("payment", 4000, "o", "captured"), ("payment", 5000, "o", "failed")), -1)
    found = shard.step(frame(), END_OF_TIME)["matched"]
    lines = found.filter(event_type="purchase")
    assert lines["payment_id"].to_list() == ["pay4000", "pay4000"]
    assert found["match_status"].to_list() == ["matched"] * 6


@pytest.mark.parametrize(
    ("worse", "better"),
    [("odd", "failed"), ("failed", "authorized"), ("authorized", "refunded"), ("refunded", "captured")],
)
def test_the_better_status_wins_even_if_it_is_older(worse, better):
    shard = OneShard(MatchPayments(columns=LEAN))
    rows = frame(("payment", 1, "o", better), ("payment", 2, "o", worse), ("purchase", 3, "o", None))
    found = shard.step(rows, END_OF_TIME)["matched"]
    assert found.filter(event_type="purchase")["payment_status"].to_list() == [better]


def test_of_equal_payments_of_one_moment_the_last_by_position_wins():
    rows = frame(*(("payment", at, "o", "captured") for at in (3, 1, 2)), ("purchase", 3, "o", None))
    rows = rows.with_columns(event_time=pl.col("event_time").max())
    found = OneShard(MatchPayments(columns=LEAN)).step(rows, END_OF_TIME)["matched"]
    assert found.filter(event_type="purchase")["payment_id"].to_list() == ["pay3"]


def test_rows_come_out_when_the_watermark_has_passed_their_bound_and_leave_no_state():
    shard = OneShard(MatchPayments(columns=LEAN, bound=1000))
    rows = frame(("purchase", 0, "o", None), ("payment", 1000, "o", "captured"), ("purchase", 1001, "o", None))
    assert shard.step(rows, -1)["matched"].is_empty()
    assert shard.step(frame(), BASE + 1000)["matched"].is_empty()
    assert shown(shard.step(frame(), BASE + 1001)["matched"])[0][:3] == ("pur0", "matched", "pay1000")
    assert shard.rows("orders").height == 3  # what came out may still meet what waits
    assert shard.step(frame(), BASE + 2001)["matched"].height == 1
    assert shown(shard.step(frame(), BASE + 2002)["matched"])[0][:3] == ("pur1001", "matched", "pay1000")
    assert shard.rows("orders").is_empty()


def test_the_unmatched_come_out_marked():
    shard = OneShard(MatchPayments(columns=LEAN, bound=1000))
    shard.step(frame(("purchase", 0, "o", None), ("payment", 1001, "o", "captured")), -1)
    found = shard.step(frame(), BASE + 3000)["matched"]
    assert found["match_status"].to_list() == ["unmatched_purchase", "unmatched_payment"]


def test_other_rows_do_not_wait():
    rows = frame(("page_view", 0, None, None), ("refund", 1, "o", None), ("purchase", 2, None, None))
    found = OneShard(MatchPayments(columns=LEAN)).step(rows, -1)["matched"]
    assert found["match_status"].to_list() == ["not_applicable", "not_applicable", "no_order_id"]


def test_the_whole_event_is_carried_by_default():
    schema = MatchPayments().outputs["matched"]
    assert set(FRAME_SCHEMA) < set(schema)
    assert schema["payment_amount"] == FRAME_SCHEMA["amount"]
    assert schema["payment_time"] == TIME


def test_keys_are_never_null_and_spread():
    keys = MatchPayments().key(frame(("purchase", 1, None, None), ("purchase", 2, None, None)))
    assert keys.null_count() == 0
    assert keys.n_unique() == 2


def test_one_order_id_for_everything_costs_no_cross_product():
    half = 30_000
    rows = frame(
        *(("purchase", n, "o", None) for n in range(half)),
        *(("payment", n, "o", "captured") for n in range(half)),
    )
    found = OneShard(MatchPayments(columns=LEAN)).step(rows, END_OF_TIME)["matched"]
    assert found.filter(match_status="matched").height == 2 * half
    assert found.filter(event_type="purchase")["payment_id"].unique().to_list() == [f"pay{half - 1}"]


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="interval_join: bound must be 0 ms or more"):
        MatchPayments(bound=-1)
    with pytest.raises(ValueError, match="columns must also have order_id"):
        MatchPayments(columns=pl.Schema({n: LEAN[n] for n in LEAN if n != "order_id"}))
