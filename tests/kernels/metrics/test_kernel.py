"""The metrics kernel against plain Python, over any order, cut and sharding."""

from fractions import Fraction

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import parse_metrics
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA
from support import metric_oracle as oracle
from support.examples import examples
from support.metric_runs import by_window, cut, latest, plain, run_metrics
from support.streams import arrivals, cuts

MINUTE = 60_000
WINDOWS = [("1m", MINUTE, MINUTE), ("10m/3m", 10 * MINUTE, 3 * MINUTE)]
YAML = """
metrics:
  lines: {measure: count, filter: event_type == 'purchase', windows: &w [tumbling 1m, sliding 10m/3m]}
  revenue:
    filter: event_type == 'purchase'
    measure: {sum: "coalesce(quantity, 1) * price - coalesce(discount, 0)"}
    dimensions: {brand: brand}
    windows: *w
  units: {measure: {sum: quantity}, windows: *w, early: true}
  mean_price: {measure: {mean: price}, windows: *w}
  least: {measure: {min: price}, windows: *w}
  most: {measure: {max: quantity}, dimensions: [brand, event_type], windows: *w}
  buyers: {measure: {distinct: visitor, where: event_type == 'purchase'}, windows: *w}
  per_buyer:
    measure: {ratio: [{count: price}, {distinct: visitor, where: event_type == 'purchase'}]}
    windows: *w
  pace: {measure: {rate: {sum: quantity}, per: 7s}, windows: *w}
"""
FIELDS = {
    "event_type": st.sampled_from(["purchase", "page_view", "search"]),
    "user_id": st.sampled_from([None, "u1", "u2", "ü"]),
    "anonymous_id": st.sampled_from(["a1", "a2", "a3", "a4"]),
    "brand": st.sampled_from([None, "b", 'q"\\']),
    "quantity": st.none() | st.integers(-3, 10**4),
    "price": st.none() | st.decimals(0, 10**9, places=4),
    "discount": st.none() | st.decimals(0, 5, places=2),
    "currency": st.sampled_from(["EUR", "USD", None]),
}
bought = lambda e: e["event_type"] == "purchase"  # noqa: E731
visitor = lambda e: e["user_id"] or e["anonymous_id"]  # noqa: E731
buyer = lambda e: visitor(e) if bought(e) else None  # noqa: E731
one = lambda e: Fraction(1)  # noqa: E731
number = lambda name: lambda e: None if e[name] is None else Fraction(e[name])  # noqa: E731
currency = lambda e: e["currency"]  # noqa: E731
ORACLE = [
    oracle.Metric("lines", WINDOWS, oracle.total(one), passes=bought),
    oracle.Metric("revenue", WINDOWS, oracle.total(oracle.line), passes=bought, currency=currency,
                  dims=lambda e: {"brand": e["brand"]}),
    oracle.Metric("units", WINDOWS, oracle.total(number("quantity"))),
    oracle.Metric("mean_price", WINDOWS, oracle.mean(number("price")), currency=currency),
    oracle.Metric("least", WINDOWS, oracle.extreme(number("price"), min), currency=currency),
    oracle.Metric("most", WINDOWS, oracle.extreme(number("quantity"), max),
                  dims=lambda e: {"brand": e["brand"], "event_type": e["event_type"]}),
    oracle.Metric("buyers", WINDOWS, oracle.distinct(buyer), passes=bought),
    oracle.Metric("per_buyer", WINDOWS, oracle.ratio(
        oracle.total(lambda e: None if e["price"] is None else Fraction(1)), oracle.distinct(buyer))),
    oracle.Metric("pace", WINDOWS, lambda events, start, end: oracle.total(number("quantity"))(events)
                  * 7000 / (end - start)),
]  # fmt: skip


PLAN = bind(parse_metrics(YAML), FRAME_SCHEMA, fill=2)


def wanted(events):
    found = {}
    for metric in ORACLE:
        found |= metric.rows(plain(events))
    return {key: None if value is None else oracle.exact(value) for key, value in found.items()}


def assert_equal(metrics, expected):
    got = {key: row["value"] for key, row in by_window(metrics).items()}
    assert got == expected


@examples(15)
@given(arrivals(FIELDS, delay=300_000, span=2_400_000, max_size=40), st.data())
def test_final_rows_equal_plain_python(events, data):
    epochs = cut(events, data.draw(cuts(events.height)), 300_000)
    metrics, late = run_metrics(PLAN, epochs, num_shards=3, bundles=data.draw(st.integers(1, 3)))
    assert late.is_empty()
    assert_equal(metrics, wanted(events))
    said = metrics.filter(pl.col("final"))
    assert said["id"].n_unique() == said.height, "a window within the delay is said once"
    assert (said["error_bound"] == 0).all()


@examples(12)
@given(arrivals(FIELDS, delay=300_000, span=2_400_000, max_size=40), st.data())
def test_rows_do_not_depend_on_cut_order_or_shards(events, data):
    columns = [name for name in METRIC_SCHEMA if name != "revision"]
    whole = latest(run_metrics(PLAN, [(events, -1)])[0]).select(columns).sort("id")
    epochs = cut(events, data.draw(cuts(events.height)), 300_000)
    shuffled = [(rows.sample(fraction=1, shuffle=True, seed=1), watermark) for rows, watermark in epochs]
    again = latest(run_metrics(PLAN, shuffled, num_shards=4)[0]).select(columns).sort("id")
    assert whole.equals(again)
