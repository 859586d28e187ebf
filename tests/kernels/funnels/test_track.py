"""Funnels against a plain walk, over every cut, order and sharding."""

import itertools
from collections import defaultdict
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.funnels.buckets import bucket
from ecompulse.kernels.funnels.definition import Funnel, Stage
from ecompulse.kernels.funnels.totals import TotalFunnels
from ecompulse.kernels.funnels.track import TrackFunnels
from ecompulse.kernels.sessions.kernel import Sessionize
from ecompulse.kernels.step import END_OF_TIME, Change, Clock
from support.examples import examples
from support.harness import MemoryState
from support.journeys import MINUTE, at, run, stream, told
from support.session_walk import by_visitor, first, sessions_of
from support.streams import cuts

GAP = 30 * MINUTE
TYPES = ("product_view", "add_to_cart", "checkout_start", "purchase", "page_view")
SKIPPING = Funnel(
    stages=(
        Stage("product_view"),
        Stage("add_to_cart", presence="skippable"),
        Stage("checkout_start", presence="skippable"),
        Stage("purchase"),
    ),
    max_time=50 * MINUTE,
)
PLAIN = Funnel(max_time=20 * MINUTE, window=30 * MINUTE)


def walk(events: list[dict[str, Any]], funnel: Funnel, mode: str) -> list[int | None]:
    """Times at which one walk reaches each stage; `events` begin with its entry."""
    stages = {event: number for number, stage in enumerate(funnel.stages) for event in stage.events}
    times: list[int | None] = [events[0]["at"]] + [None] * (len(funnel.stages) - 1)
    current = 0
    for event in events[1:]:
        if event["at"] - events[0]["at"] > funnel.max_time:
            break
        met = stages.get(event["event_type"])
        if met is None:
            continue
        if met > current and all(s.presence == "skippable" for s in funnel.stages[current + 1 : met]):
            times[met] = event["at"]
            current = met
        elif mode == "strict" and met != current:
            break
    return times


def walks_of(
    events: list[dict[str, Any]], funnel: Funnel
) -> list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]]:
    """Scope, events from the entry on, events of its session up to the entry."""
    found = []
    entry = funnel.stages[0].events
    sessions = [session for session, _ in sessions_of(events, GAP, None)]
    entered = set()
    for session in sessions:
        begin = next((n for n, e in enumerate(session) if e["event_type"] in entry), None)
        if begin is not None:
            found.append(("session", session[begin:], session[: begin + 1]))
        for number, event in enumerate(session):
            window = event["at"] // funnel.window
            if event["event_type"] in entry and window not in entered:
                entered.add(window)
                found.append(("visitor", events[events.index(event) :], session[: number + 1]))
    return found


def expected(frame: pl.DataFrame, funnel: Funnel) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    groups = defaultdict(list)
    for events in by_visitor(frame).values():
        for scope, rest, before in walks_of(events, funnel):
            names = ["all", *(f"{d}={first(before, d) or '(not set)'}" for d in funnel.segments)]
            for mode in funnel.modes:
                for name in names:
                    window = rest[0]["at"] // funnel.window * funnel.window
                    groups[mode, scope, window, name].append(walk(rest, funnel, mode))
    shown = {}
    for group, walks in groups.items():
        for number, stage in enumerate(funnel.stages):
            reached = [times for times in walks if times[number] is not None]
            before = [times for times in walks if number and times[number - 1] is not None]
            both = [times for times in before if times[number] is not None]
            shown[(*group, stage.name)] = (
                len(reached),
                len(both) if number else None,
                len(both) / len(before) if before else None,
                *(quantile([since(times, number) for times in reached], q) if number else None for q in (5, 9)),
            )
    return shown


def since(times: list[int | None], number: int) -> int:
    return times[number] - next(t for t in reversed(times[:number]) if t is not None)


def quantile(values: list[int], tenths: int) -> int | None:
    """Nearest rank, in the buckets of the kernel (whose bound has a test of its own)."""
    if not values:
        return None
    exact = sorted(values)[-(-len(values) * tenths // 10) - 1]
    return pl.select(bucket(pl.lit(exact, pl.Int64))).item()


def totals(parts: pl.DataFrame, funnel: Funnel) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    kernel = TotalFunnels(funnel=funnel)
    state = MemoryState({table.name: table for table in kernel.tables})
    frame = kernel.step(state, parts, Clock(1, END_OF_TIME, 0)).outputs["funnels"]
    assert frame["id"].is_unique().all()
    frame = frame.with_columns(pl.col("window_start").dt.epoch("ms"))
    keys = ("mode", "scope", "window_start", "segment", "stage")
    values = ("entered", "converted_from_previous", "conversion_rate", "p50_ms", "p90_ms")
    return dict(zip(frame.select(keys).rows(), frame.select(values).rows(), strict=True))


@examples(40)
@given(st.data(), stream(TYPES), st.sampled_from([PLAIN, SKIPPING]))
def test_funnels_equal_the_walk(data, frame, funnel):
    kernel = Sessionize(longest=0, parts=(TrackFunnels(funnel),))
    found = run(kernel, frame, cuts=data.draw(cuts(frame.height)), num_shards=data.draw(st.integers(1, 3)))
    assert totals(found["funnel_parts"], funnel) == expected(frame, funnel)


def interleaved(*events: tuple[str, float, str]) -> pl.DataFrame:
    """Events of several visitors in order: whose, minutes, type."""
    frames = [told((minutes, kind), visitor=visitor) for visitor, minutes, kind in events]
    frame = pl.concat(frames).with_columns(source_offset=pl.int_range(len(frames), dtype=pl.Int64))
    return frame.with_columns(event_id=pl.col("source_offset").cast(pl.String))


LONG = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 14), st.sampled_from(("product_view", "page_view", "add_to_cart"))),
    min_size=4,
    max_size=14,
)
"""Events in order: whose, minutes since the one before, type. Sessions last longer than walks."""


@examples(60)
@given(LONG, st.sampled_from([PLAIN, SKIPPING]))
def test_long_sessions_equal_the_walk_if_each_row_is_a_step(events, funnel):
    times = itertools.accumulate(since for _, since, _ in events)
    frame = interleaved(*((visitor, at, kind) for at, (visitor, _, kind) in zip(times, events, strict=True)))
    cuts = range(1, frame.height)
    found = run(Sessionize(longest=0, parts=(TrackFunnels(funnel),)), frame, cuts=cuts, delay=0)
    assert totals(found["funnel_parts"], funnel) == expected(frame, funnel)


def test_a_session_is_not_over_because_a_walk_of_its_visitor_is():
    """The walk of `u` is due while only `v` has rows: its session stays entered, and later views begin none."""
    frame = interleaved(
        ("u", 0, "product_view"), ("u", 10, "page_view"), ("v", 12, "page_view"), ("v", 25, "page_view"),
        ("u", 28, "product_view"), ("v", 200, "page_view"),
    )  # fmt: skip
    found = run(Sessionize(longest=0, parts=(TrackFunnels(PLAIN),)), frame, cuts=range(1, 6), delay=0)["funnel_parts"]
    entered = found.filter(pl.col("segment") == "all", mode="open", scope="session", stage_index=0)
    assert entered["entered"].to_list() == [1]


def counts(frame: pl.DataFrame, funnel: Funnel, mode: str, scope: str) -> list[int]:
    found = totals(run(Sessionize(parts=(TrackFunnels(funnel),)), frame)["funnel_parts"], funnel)
    reached = dict.fromkeys((stage.name for stage in funnel.stages), 0)
    for (how, where, _, segment, stage), values in found.items():
        if (how, where, segment) == (mode, scope, "all"):
            reached[stage] += values[0]
    return list(reached.values())


def test_strict_ends_where_open_goes_on():
    frame = told((0, "product_view"), (1, "add_to_cart"), (2, "product_view"), (3, "checkout_start"), (4, "purchase"))
    assert counts(frame, Funnel(), "open", "session") == [1, 1, 1, 1]
    assert counts(frame, Funnel(), "strict", "session") == [1, 1, 0, 0]


def test_a_skippable_stage_may_be_missing_and_a_required_one_may_not():
    frame = told((0, "product_view"), (1, "purchase"))
    assert counts(frame, SKIPPING, "open", "session") == [1, 0, 0, 1]
    assert counts(frame, Funnel(), "open", "session") == [1, 0, 0, 0]


def test_a_visitor_goes_on_in_the_next_session():
    frame = told((0, "product_view"), (45, "add_to_cart"))
    assert counts(frame, Funnel(), "open", "session") == [1, 0, 0, 0]
    assert counts(frame, Funnel(), "open", "visitor") == [1, 1, 0, 0]


def test_max_time_is_inclusive():
    frame = told((0, "product_view"), (20, "add_to_cart"), (20.001, "checkout_start"))
    assert counts(frame, PLAIN, "open", "session") == [1, 1, 0, 0]


def test_a_window_leaves_when_its_end_and_the_longest_walk_are_past():
    funnel = Funnel()
    parts = run(Sessionize(parts=(TrackFunnels(funnel),)), told((0, "product_view"), (600, "login")))["funnel_parts"]
    kernel = TotalFunnels(funnel=funnel)
    state = MemoryState({table.name: table for table in kernel.tables})
    start = parts["window_start"].dt.epoch("ms")[0]
    for epoch, (watermark, rows) in enumerate([(start, 0), (start + 120 * MINUTE - 1, 0), (start + 120 * MINUTE, 4)]):
        step = kernel.step(state, parts if epoch == 0 else parts.clear(), Clock(epoch + 1, watermark, 0))
        shown = step.outputs["funnels"].filter(pl.col("segment") == "all", mode="open", scope="session")
        assert shown.height == rows
        state.apply("counts", step.changes["counts"])
    assert shown["window_end"].to_list() == [at(0).replace(minute=0, second=0) + timedelta(hours=1)] * 4
    assert state.rows["counts"].is_empty()


def test_state_of_one_bucket_a_row_goes_on():
    kernel = TotalFunnels()
    parts = run(Sessionize(parts=(TrackFunnels(),)), told((0, "product_view"), (1, "add_to_cart"), (60, "login")))
    state = MemoryState({table.name: table for table in kernel.tables})
    change = kernel.step(state, parts["funnel_parts"], Clock(1, 0, 0)).changes["counts"]
    assert isinstance(change, Change)
    rows = change.rows.with_columns(
        bucket=pl.col("buckets").list.first(),
        buckets=pl.lit(None, pl.List(pl.Int64)),
        counts=pl.lit(None, pl.List(pl.Int64)),
    ).select(change.rows.columns)
    state.apply("counts", Change(change.keys, rows))
    later = told((0, "product_view"), (3, "add_to_cart"), (60, "login"), visitor="w")
    parts = run(Sessionize(parts=(TrackFunnels(),)), later)
    shown = kernel.step(state, parts["funnel_parts"], Clock(2, END_OF_TIME, 0)).outputs["funnels"]
    shown = shown.filter(pl.col("segment") == "all", mode="open", scope="session", stage_index=1)
    exact = [pl.select(bucket(pl.lit(n * MINUTE, pl.Int64))).item() for n in (1, 3)]
    assert shown.select("entered", "p50_ms", "p90_ms").rows() == [(2, *exact)]


@given(st.integers(0, 2**45))
def test_a_bucket_is_within_its_bound(value):
    middle = pl.select(bucket(pl.lit(value, pl.Int64))).item()
    assert abs(middle - value) <= value / 512
    assert value >= 512 or middle == value


@pytest.mark.parametrize("values", [[5], [1, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])
def test_quantiles_are_nearest_rank(values):
    frames = [told((0, "product_view"), (n, "add_to_cart"), visitor=f"v{n}") for n in values]
    parts = run(Sessionize(parts=(TrackFunnels(),)), pl.concat(frames))["funnel_parts"]
    shown = [
        v
        for k, v in totals(parts, Funnel()).items()
        if k[0] == "open" and k[1] == "session" and k[3:] == ("all", "add_to_cart")
    ]
    exact = [sorted(values)[-(-len(values) * q // 10) - 1] * MINUTE for q in (5, 9)]
    assert list(shown[0][3:]) == pytest.approx(exact, rel=0.002)


def test_a_visitor_enters_a_window_once_even_after_the_walk_was_counted():
    frame = told((0, "product_view"), (25, "product_view"), (300, "login"))
    funnel = Funnel(max_time=MINUTE)
    found = run(Sessionize(parts=(TrackFunnels(funnel),)), frame, cuts=[1, 2], delay=0)["funnel_parts"]
    assert counts(frame, funnel, "open", "visitor") == [1, 0, 0, 0]
    shown = found.filter(pl.col("segment") == "all", mode="open", stage_index=0)
    assert shown.sort("scope").select("scope", "entered").rows() == [("session", 1), ("visitor", 1)]
