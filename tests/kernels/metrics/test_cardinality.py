"""The bound on series: who is admitted depends on the data alone."""

import json
from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.cardinality import LimitSeries, bounded, unbounded
from ecompulse.kernels.metrics.definition import parse_metrics
from ecompulse.kernels.metrics.kernel import CombineSlices
from ecompulse.kernels.metrics.slices import to_slices
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.examples import examples
from support.metric_runs import Shards, cut
from support.streams import arrivals, cuts

YAML = """
metrics:
  views: {measure: count, windows: [tumbling 1m], dimensions: {product: product_id, brand: brand}}
  all: {measure: count, windows: [tumbling 1m]}
  best: {measure: {top: product_id, k: 3}, windows: [tumbling 10m]}
"""
PLAN = bind(parse_metrics(YAML), FRAME_SCHEMA)
FIELDS = {
    "event_type": st.just("page_view"),
    "user_id": st.just("u"),
    "product_id": st.sampled_from([None, *"abcdefgh"]),
    "brand": st.sampled_from([None, "x"]),
}


def admit(epochs, *, limit=3, num_shards=1):
    """Admitted slices and quality, over all epochs and the drain."""
    shards = Shards(LimitSeries(PLAN.specs, limit), num_shards)
    slices, quality = [], []
    for epoch, (events, watermark) in enumerate([*epochs, (epochs[0][0].clear(), END_OF_TIME)], start=1):
        asking = bounded(to_slices(events, PLAN), PLAN.specs)
        out = shards.step(asking, Clock(epoch, watermark, 0))
        slices.append(out["slices"])
        quality.append(out["quality"])
    return pl.concat(slices), pl.concat(quality)


def totals(slices):
    """Counts by series, slice and item."""
    found = slices.with_columns(name=pl.col("series").str.splitn("\x1f", 2).struct.field("field_1"))
    found = found.group_by("name", "slice", "item").agg(pl.col("count").sum())
    return {(name, at, item): count for name, at, item, count in found.rows()}


@examples(20)
@given(arrivals(FIELDS, delay=300_000, span=1_800_000, max_size=40), st.data())
def test_admission_does_not_depend_on_cut_order_or_shards(events, data):
    whole, folded = admit([(events, -1)])
    epochs = cut(events, data.draw(cuts(events.height)), 300_000)
    again, folded_again = admit(epochs, num_shards=3)
    assert totals(again) == totals(whole)
    assert folded["count"].sum() == folded_again["count"].sum()


@examples(20)
@given(arrivals(FIELDS, span=1_800_000, max_size=40))
def test_the_first_are_admitted_and_nothing_is_lost(events):
    slices, quality = admit([(events, -1)])
    views = {key: count for key, count in totals(slices).items() if key[0].startswith("views")}
    assert sum(views.values()) == events.height
    seen = defaultdict(set)
    for name, at, _ in views:
        seen[at].add(name)
    own = {name for names in seen.values() for name in names if "__other__" not in name}
    assert len(own) <= 3
    combos = events.select(pl.struct("product_id", "brand").n_unique()).item() if events.height else 0
    assert len(own) == min(combos, 3)
    first = events.group_by("product_id", "brand").agg(pl.col("event_time").min().dt.truncate("1m").alias("at"))
    latest = first.sort("at")["at"].to_list()[:3][-1] if combos > 3 else None
    if latest is not None:  # nobody who came later than the third was preferred
        early = first.filter(pl.col("at") < latest)
        for product, brand, _ in early.rows():
            text = "null" if product is None else f'"{product}"'
            tag = "null" if brand is None else f'"{brand}"'
            assert any(name.endswith(f'{{"brand":{tag},"product":{text}}}') for name in own)
    folded = quality.filter(subject="views")["count"].sum()
    assert folded == sum(count for key, count in views.items() if "__other__" in key[0])
    best = {key: count for key, count in totals(slices).items() if key[0].startswith("best") and key[2]}
    assert sum(best.values()) == events["product_id"].drop_nulls().len()
    assert len({key[2] for key in best} - {"__other__"}) <= 2  # the series itself has a place too


def test_the_admitted_outlive_a_leap_of_the_watermark_with_those_who_wait():
    def views(minute, *products: str):
        rows = [
            {**dict.fromkeys(FRAME_SCHEMA), "event_type": "page_view", "product_id": p, "event_time": minute * 60_000}
            for p in products
        ]
        return pl.DataFrame(rows, schema={**FRAME_SCHEMA, "event_time": pl.Int64}).cast(dict(FRAME_SCHEMA))

    first, second = views(1, "a", "b"), views(9, "c", "d")
    whole, _ = admit([(pl.concat([first, second]), -1)])
    epochs = [(first, -1), (second, 5 * 60_000), (second.clear(), 30 * 86_400_000)]
    assert totals(admit(epochs)[0]) == totals(whole)


def test_metrics_without_dimensions_need_no_admission():
    events = pl.DataFrame([{**dict.fromkeys(FRAME_SCHEMA), "event_type": "x", "event_time": 0}], schema=FRAME_SCHEMA)
    slices = to_slices(events, PLAN)
    assert unbounded(slices, PLAN.specs).height == 1
    assert bounded(slices, PLAN.specs).height >= 2


@pytest.mark.parametrize(("limit", "ranked"), [(100, [("__other__", 3, 0), ("b", 2, 0), ("a", 1, 0)]), (2, None)])
def test_an_item_called_other_is_not_the_sum_of_others(limit, ranked):
    rows = [
        {**dict.fromkeys(FRAME_SCHEMA), "event_type": "x", "event_time": at, "product_id": product}
        for at, product in enumerate(["__other__", "a", "b", "__other__", "b", "__other__"])
    ]
    events = pl.DataFrame(rows, schema={**FRAME_SCHEMA, "event_time": pl.Int64}).cast(dict(FRAME_SCHEMA))
    slices, _ = admit([(events, -1)], limit=limit)
    metrics = Shards(CombineSlices.of(PLAN)).step(slices, Clock(1, END_OF_TIME, 0))["metrics"]
    best = metrics.filter(metric="best", window_start=events["event_time"].dt.truncate("10m")[0]).sort("dimensions")
    told = [
        (json.loads(row["dimensions"])["product_id"], int(row["value"]), int(row["error_bound"]))
        for row in best.sort("value", descending=True).to_dicts()
    ]
    if ranked:
        assert told == ranked
    else:  # one of them has a place, the others are its error
        assert [value + error for _, value, error in told] == [events.height]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="max_series must be 1 or more"):
        LimitSeries(PLAN.specs, 0)
