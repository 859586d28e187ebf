"""Sketches within their stated bounds, and the same for any order of merging."""

import json
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import parse_metrics
from ecompulse.kernels.metrics.measures import distinct
from ecompulse.kernels.metrics.measures.quantiles import ALPHA, buckets_of, representative
from ecompulse.kernels.metrics.ranges import Ranges, SliceIndex, extremes, sums
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA
from support import metric_oracle as oracle
from support.examples import examples
from support.metric_runs import by_window, cut, latest, plain, run_metrics
from support.streams import BASE, arrivals, cuts

YAML = """
metrics:
  visitors: {measure: {distinct: visitor}, windows: &w [tumbling 1m, sliding 6m/2m]}
  prices: {measure: {quantiles: price, at: [0, 0.5, 0.9, 1]}, windows: *w, dimensions: [brand]}
  best: {measure: {top: product_id, k: 2, by: {sum: quantity}}, windows: *w, dimensions: [brand]}
  seen: {measure: {top: product_id, k: 3}, windows: [tumbling 1m]}
"""
PLAN = bind(parse_metrics(YAML), FRAME_SCHEMA, fill=1)
FIELDS = {
    "event_type": st.just("purchase"),
    "user_id": st.sampled_from([None, *"uvwxyz"]),
    "anonymous_id": st.sampled_from(["a", "b"]),
    "product_id": st.sampled_from([None, "p", "__other__", 'r"', "\0__other__"]),
    "brand": st.sampled_from([None, "k"]),
    "quantity": st.none() | st.integers(0, 9),
    "price": st.none() | st.decimals(-5, 10**6, places=4),
}
MINUTE = 60_000
WINDOWS = [("1m", MINUTE, MINUTE), ("6m/2m", 6 * MINUTE, 2 * MINUTE)]


def one(name, windows, value, **options: object):
    return oracle.Metric(name, windows, value, fill=1, **options)


def brand(event):
    return {"brand": event["brand"]}


def ranked(of, k):
    def value(events, *_: int):
        sums = {}
        for event in events:
            if event["product_id"] is not None:
                sums[event["product_id"]] = sums.get(event["product_id"], 0) + (of(event) or 0)
        return sorted(((-total, item) for item, total in sums.items()))[:k]

    return value


@examples(12)
@given(arrivals(FIELDS, delay=120_000, span=600_000, max_size=40), st.data())
def test_sketches_equal_plain_python_while_they_are_exact(events, data):
    epochs = cut(events, data.draw(cuts(events.height)), 120_000)
    metrics, _ = run_metrics(PLAN, epochs, num_shards=2, bundles=2)
    rows = plain(events)
    distinct_ = one("visitors", WINDOWS, oracle.distinct(lambda e: e["user_id"] or e["anonymous_id"])).rows(rows)
    got = {k: r["value"] for k, r in by_window(metrics.filter(metric="visitors")).items()}
    assert got == {k: oracle.exact(v) for k, v in distinct_.items()}
    check_quantiles(metrics, rows)
    check_rankings(metrics, rows)


def check_quantiles(metrics, rows):
    for q in ("0", "0.5", "0.9", "1"):

        def value(events, *_: int, q=q):
            known = [Fraction(e["price"]) for e in events if e["price"] is not None]
            return oracle.rank(known, Fraction(q)) if known else None

        expected = one("prices", WINDOWS, value, dims=brand, currency=lambda e: None).rows(rows)
        mine = metrics.filter(pl.col("metric") == "prices", pl.col("dimensions").str.ends_with(f'"quantile":"{q}"}}'))
        cleaned = mine.with_columns(pl.col("dimensions").str.replace(f',"quantile":"{q}"', "", literal=True))
        got = by_window(cleaned)
        assert got.keys() == expected.keys()
        for key, wanted in expected.items():
            row = got[key]
            if wanted is None:
                assert row["value"] is None
            else:
                assert abs(Fraction(row["value"]) - wanted) <= Fraction(row["error_bound"]) + Fraction(1, 10**6)
                assert Fraction(row["error_bound"]) <= abs(wanted) * Fraction(103, 10_000) + Fraction(1, 10**4)


def check_rankings(metrics, rows):
    by_units = one("best", WINDOWS, ranked(lambda e: e["quantity"], 2), dims=brand).rows(rows)
    by_count = one("seen", WINDOWS[:1], ranked(lambda e: 1, 3)).rows(rows)
    found = {}
    for (name, label, start, end, dims, _), row in by_window(
        metrics.filter(pl.col("metric").is_in(["best", "seen"]))
    ).items():
        parts = json.loads(dims)
        place = (name, label, start, end, parts.get("brand", "-"))
        found.setdefault(place, {})[parts["rank"]] = (-row["value"], parts["product_id"])
    expected = {}
    for (name, label, start, end, dims, _), items in {**by_units, **by_count}.items():
        place = (name, label, start, end, json.loads(dims).get("brand", "-"))
        if items:
            expected[place] = dict(enumerate(items, start=1))
    assert found == expected


@examples(15)
@given(st.integers(0, 2**32), st.data())
def test_large_sets_do_not_depend_on_order_or_merging(seed, data):
    random = np.random.default_rng(seed)
    size = data.draw(st.sampled_from([900, 1024, 1025, 3_000, 9_000]))
    values = pl.Series(random.integers(0, 2**40, size)).unique()
    hashes = pl.DataFrame({"v": values.cast(pl.String)}).select(h=distinct.hashed(pl.col("v")))["h"]

    def merged(parts):
        empty = pl.Series([None] * len(parts), dtype=pl.List(pl.UInt8))
        sets = pl.DataFrame(
            {"k": 1, "hashes": parts, "registers": empty}, schema_overrides={"hashes": pl.List(pl.UInt64)}
        )
        return distinct.merge_sets(sets, ["k"])

    whole = merged([hashes.to_list()])
    pieces = np.array_split(random.permutation(hashes.to_numpy()), data.draw(st.integers(1, 6)))
    by_steps = merged([pieces[0].tolist()])
    for piece in pieces[1:]:
        by_steps = distinct.merge_sets(pl.concat([by_steps, merged([piece.tolist()])]), ["k"])
    assert whole.equals(by_steps)
    assert (whole["registers"][0] is None) == (values.len() <= distinct.EXACT_LIMIT)
    count, error = distinct.count_distinct(whole.with_columns(owner=0), Ranges(np.array([0]), np.array([1])))
    assert abs(int(count[0]) - values.len()) <= 5 * distinct.STANDARD_ERROR * values.len()
    assert (error[0] == 0) == (values.len() <= distinct.EXACT_LIMIT)


def test_estimates_are_within_the_bound_as_often_as_it_says():
    random = np.random.default_rng(1)
    outside = 0
    for size in (1_500, 5_000, 20_000, 100_000):
        for _ in range(25):
            matrix = distinct._of_hashes(
                pl.DataFrame({"_slot": 0, "hashes": random.integers(0, 2**64, size, dtype=np.uint64)}), 1
            )
            outside += abs(distinct.estimate(matrix)[0] - size) > distinct.BOUND * size
    assert outside <= 3


def purchases(**columns: list[object]):
    count = len(columns["event_time"])
    rows = {"event_id": [str(n) for n in range(count)], "event_type": "purchase", "source": "s", "source_partition": 0}
    events = pl.DataFrame({**rows, "source_offset": range(count), **columns})
    events = events.with_columns(pl.lit(None, d).alias(n) for n, d in FRAME_SCHEMA.items() if n not in events.columns)
    return events.select(pl.col(n).cast(d) for n, d in FRAME_SCHEMA.items())


def test_sliding_windows_mix_exact_sets_and_registers():
    count = 5_000
    ids = [f"u{n}" for n in range(count)] + [f"u{n}" for n in range(40)] + [f"x{n}" for n in range(200)]
    at = [BASE] * count + [BASE + 2 * MINUTE] * 40 + [BASE + 4 * MINUTE] * 200
    events = purchases(user_id=ids, event_time=at)
    plan = bind(parse_metrics(YAML).only("visitors"), FRAME_SCHEMA, fill=1)
    whole, _ = run_metrics(plan, [(events, -1)])
    parts, _ = run_metrics(plan, [(events[::3], -1), (events[1::3], -1), (events[2::3], -1)], bundles=2)
    columns = [n for n in METRIC_SCHEMA if n != "revision"]
    assert latest(whole).select(columns).sort("id").equals(latest(parts).select(columns).sort("id"))
    for (_, label, start, end, _, _), row in by_window(whole).items():
        wanted = len({i for i, t in zip(ids, at, strict=True) if start <= t < end})
        assert abs(row["value"] - wanted) <= row["error_bound"] * 2, (label, start)
        assert (row["error_bound"] > 0) == (start <= BASE < end)


@given(st.lists(st.integers(1 - 10**18, 10**18 - 1), min_size=1))
def test_a_bucket_s_estimate_is_within_one_percent(values):
    buckets = buckets_of(pl.Series(values))
    estimates, bounds = representative(buckets.to_numpy())
    for value, estimate, bound in zip(values, estimates, bounds, strict=True):
        assert abs(estimate - value * 10**6) <= bound + 1
        assert abs(estimate - value * 10**6) <= abs(value) * 10**6 * ALPHA * 1.0000001 + 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(-99, 99)), max_size=30), st.data())
def test_ranges_of_rows(rows, data):
    rows = sorted({(owner, time): value for owner, time, value in rows}.items())
    owners, times, values = ([k[0] for k, _ in rows], [k[1] for k, _ in rows], [v for _, v in rows])
    asked = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 60), st.integers(0, 30)), min_size=1))
    line = SliceIndex.of(np.array(owners, np.int64), np.array(times, np.int64))
    columns = [np.array(c, np.int64) for c in zip(*[(o, s, s + n) for o, s, n in asked], strict=True)]
    ranges = line.ranges(*columns)
    series = pl.Series("v", values, dtype=pl.Int64)
    inside = [[v for (o, t), v in rows if o == owner and s <= t < s + n] for owner, s, n in asked]
    assert sums(series, ranges).to_list() == [sum(v) for v in inside]
    if rows:
        assert extremes(series, ranges, greatest=True).to_list() == [max(v, default=None) for v in inside]
        assert extremes(series, ranges, greatest=False).to_list() == [min(v, default=None) for v in inside]


def test_too_many_series_for_one_step_is_an_error_not_a_wrong_sum():
    with pytest.raises(OverflowError, match="use more shards"):
        SliceIndex.of(np.array([0, 2**40]), np.array([0, 2**40]))


def test_dimensions_are_sorted_also_where_a_measure_adds_some():
    text = """
metrics:
  best: {measure: {top: visitor}, windows: [tumbling 1m], dimensions: {x: brand}}
  prices: {measure: {quantiles: quantity, at: [0.5]}, windows: [tumbling 1m], dimensions: {Z: brand, region: brand}}
"""
    events = purchases(event_time=[BASE], user_id=['\\"ü'], brand=["k\n"], quantity=[1])
    metrics, _ = run_metrics(bind(parse_metrics(text), FRAME_SCHEMA, fill=0), [(events, -1)])
    found = dict(metrics.select("metric", "dimensions").iter_rows())
    assert found == {
        "best": r'{"rank":1,"visitor":"\\\"ü","x":"k\n"}',
        "prices": r'{"Z":"k\n","quantile":"0.5","region":"k\n"}',
    }
