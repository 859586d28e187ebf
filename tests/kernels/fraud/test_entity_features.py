"""EntityFeatures against plain Python, over any cut, order and sharding; and nothing from the future."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ecompulse.kernels.event import ORDER
from ecompulse.kernels.fraud.entity import ROW_FEATURES, ROW_SCHEMA, Entity, FeatureSet, Pair, row_features
from ecompulse.kernels.fraud.history import EntityFeatures
from ecompulse.kernels.fraud.window_sums import WIDTH
from support.examples import examples
from support.fraud_oracle import features
from support.harness import run_kernel
from support.stepping import OneShard
from support.streams import BASE

DAY = 86_400_000
ENTITY = Entity(
    "card_id",
    windows=("1m", "1h", "2d"),
    pairs={"device": Pair("device_id", 2 * DAY), "shop": Pair("merchant_id", 3_600_000)},
    travel=True,
    forget=3 * DAY,
    cap=3,
)
KERNEL = EntityFeatures("card", ENTITY)
SPAN = 8 * DAY
MOMENT = st.integers(0, SPAN) | st.integers(0, 30).map(lambda n: SPAN // 2 + n * 30_000)
ROW = st.fixed_dictionaries(
    {
        "at": MOMENT,
        "card_id": st.sampled_from(["c1", "c2", None]),
        "device_id": st.sampled_from(["d1", "d2", "d3", "d4", None]),
        "merchant_id": st.sampled_from(["m1", "m2"]),
        "minor": st.none() | st.integers(0, 5_000_000),
        "place": st.sampled_from([None, (48.1, 11.6), (-33.9, 151.2), (40.7, -74.0)]),
    }
)
MARK = st.fixed_dictionaries(
    {"at": MOMENT, "card_id": st.sampled_from(["c1", "c2"]), "known": st.integers(0, 1), "frauds": st.integers(-1, 1)}
)


def frame(rows: list[dict], marks: list[dict]) -> pl.DataFrame:
    """Rows and marks in the order of their times, as they come behind the watermark."""
    made = []
    for number, row in enumerate(rows):
        made.append({"transaction_id": f"t{number}", "source_offset": number, **row})
        place = row.get("place")
        made[-1] |= {"latitude": place[0], "longitude": place[1]} if place else {}
    made += [
        {"transaction_id": f"m{number}", "source_offset": -1 - number, **mark} for number, mark in enumerate(marks)
    ]
    for row in made:
        row.update(event_time=BASE + row["at"], source="s", source_partition=0)
    schema = {**ROW_SCHEMA, "event_time": pl.Int64()}
    found = pl.DataFrame([{name: row.get(name) for name in schema} for row in made], schema=schema, orient="row")
    found = found.with_columns(pl.col("event_time").cast(ROW_SCHEMA["event_time"])).sort(ORDER)
    return row_features(found, FeatureSet({"card": ENTITY}))


def expected(batch: pl.DataFrame) -> pl.DataFrame:
    rows = batch.with_columns(at=pl.col("event_time").dt.epoch("ms"))
    marks = rows.filter(pl.col("known").is_not_null()).to_dicts()
    rows = rows.filter(pl.col("known").is_null())
    found = features("card", ENTITY, rows.to_dicts(), marks)
    schema = dict.fromkeys(KERNEL.features, pl.Float32())
    return rows.select("transaction_id").hstack(pl.DataFrame(found, schema=schema, orient="row"))


def boundaries(batch: pl.DataFrame) -> st.SearchStrategy[list[int]]:
    """Where rows that come behind the watermark can be cut: never between two of one time."""
    starts = batch.with_row_index("n").filter(pl.col("event_time") != pl.col("event_time").shift())["n"]
    return st.lists(st.sampled_from(starts.to_list()), max_size=6) if len(starts) else st.just([])


@examples(60)
@given(st.data())
def test_features_are_what_plain_python_says_for_any_cut_and_any_shards(data):
    rows, marks = data.draw(st.lists(ROW, min_size=1, max_size=25)), data.draw(st.lists(MARK, max_size=8))
    batch = frame(rows, marks)
    whole = run_kernel(KERNEL, batch, delay=0)["transactions"].sort(ORDER)
    cut = data.draw(boundaries(batch))
    found = run_kernel(KERNEL, batch, delay=0, cuts=cut, num_shards=3)["transactions"].sort(ORDER)
    assert_frame_equal(found, whole, check_exact=True)
    assert_frame_equal(found.select("transaction_id", *KERNEL.features), expected(batch), rel_tol=1e-4, abs_tol=1e-4)


def test_a_label_from_the_future_changes_nothing():
    rows = [{"at": hour * 3_600_000, "card_id": "c1", "minor": 10_000 * hour} for hour in range(10)]
    seen = frame(rows, [])
    planted = frame(rows, [{"at": 5 * 3_600_000, "card_id": "c1", "known": 1, "frauds": 1}])
    before, after = (run_kernel(KERNEL, rows)["transactions"].sort(ORDER) for rows in (seen, planted))
    assert_frame_equal(before.head(6), after.head(6))  # the sixth is at the label's own time
    assert before["card_frauds_2d"].to_list() == [0.0] * 10
    assert after["card_frauds_2d"].to_list() == [0.0] * 6 + [1.0] * 4


def test_memory_is_bounded():
    size = 20_000
    rows = [{"at": n * 10_000, "card_id": "c1", "device_id": f"d{n}", "minor": 1} for n in range(size)]
    shard = OneShard(KERNEL)
    batch = frame(rows, [])
    for start in range(0, size, 2_000):
        part = batch[start : start + 2_000]
        shard.step(part, int(part["event_time"].dt.epoch("ms").min()))
    [memory] = shard.rows("memory").to_dicts()
    assert len(memory["line"]) / WIDTH < 2_000 + 100
    assert len(memory["others"]) / 3 <= 2 * ENTITY.cap


def test_an_entity_that_everybody_shares_tells_nothing():
    kernel = EntityFeatures("card", Entity("card_id", windows=("1d",), busy=3))
    found = run_kernel(kernel, frame([{"at": n, "card_id": "c1", "minor": 1} for n in range(5)], []), delay=0)
    shown = found["transactions"].sort(ORDER)
    assert shown["card_count_1d"].to_list() == [0.0, 1.0, 2.0, None, None]
    assert shown["card_since_first"].null_count() == 3


@pytest.mark.parametrize("text", ["1x", "h", "0d", "500ms"])
def test_a_window_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="windows"):
        Entity("card_id", windows=(text,))


def test_a_column_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean card_id"):
        Entity("card")


def test_rows_have_features_of_their_own():
    batch = frame([{"at": 0, "card_id": "c1", "minor": 123_400, "signup": BASE - 7_200_000}], [])
    assert batch.select(ROW_FEATURES).row(0) == pytest.approx((12.34, 22.0, 0.0, 0.0, 2.0))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"night": ()}, "night: wants two hours"),
        ({"night": (22, 24)}, "night: wants two hours"),
        ({"surprising": ("nothing",)}, "surprising: names no feature"),
    ],
)
def test_a_set_of_features_that_nothing_can_be_made_of_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        FeatureSet({"card": ENTITY}, **settings)
