"""Sessions against a plain walk, over every cut, order and sharding."""

import itertools
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.sessions import numbering
from ecompulse.kernels.sessions.kernel import Sessionize, prepare, total_transitions
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.examples import examples
from support.harness import MemoryState
from support.journeys import MINUTE, at, run, stream, told
from support.session_walk import by_visitor, sessions_of, summary, transitions
from support.streams import cuts

GAP = 30 * MINUTE
SHORT = 75 * MINUTE


def expected(frame: pl.DataFrame, longest: int | None) -> list[dict[str, Any]]:
    end = (
        frame.group_by("source", "source_partition").agg(pl.col("event_time").max())["event_time"].dt.epoch("ms").min()
        or 0
    ) - 10 * MINUTE
    shown = []
    for events in by_visitor(frame).values():
        for session, reason in sessions_of(events, GAP, longest):
            closed = "gap" if session[-1]["at"] + GAP <= end else "drain"
            shown.append(summary(session) | {"close_reason": reason or closed})
    return sorted(shown, key=lambda row: (row["visitor"], row["session_start"]))


@examples(40)
@given(st.data(), stream(), st.sampled_from([None, SHORT]))
def test_sessions_equal_the_walk(data, frame, longest):
    kernel = Sessionize(longest=longest or 0)
    shards = data.draw(st.integers(1, 3))
    found = run(kernel, frame, cuts=data.draw(cuts(frame.height)), num_shards=shards)
    columns = [name for name in found["sessions"].columns if name not in ("id", "final", "revision")]
    got = found["sessions"].sort("visitor", "session_start").select(columns).to_dicts()
    assert got == expected(frame, longest)
    assert found["late_events"].is_empty()
    assert found["sessions"]["id"].is_unique().all()
    assert found["sessions"]["final"].all()


@examples(40)
@given(st.data(), stream())
def test_events_and_transitions_equal_the_walk(data, frame):
    kernel = Sessionize(longest=SHORT)
    found = run(kernel, frame, cuts=data.draw(cuts(frame.height)), num_shards=data.draw(st.integers(1, 3)))
    ids = {(r["visitor"], r["session_start"]): r["id"] for r in found["sessions"].to_dicts()}
    walked = [session for events in by_visitor(frame).values() for session, _ in sessions_of(events, GAP, SHORT)]
    places = {
        (event["event_id"], ids[session[0]["visitor"], session[0]["event_time"]], number)
        for session in walked
        for number, event in enumerate(session, start=1)
    }
    assert set(found["session_events"].select("event_id", "session", "sequence").rows()) == places
    steps = sum((transitions(session, kernel.transition_window) for session in walked), Counter())
    parts = found["transition_parts"].group_by("window_start", "from_page", "to_page").agg(pl.col("count").sum())
    assert {
        (w // 1, a, b): c for w, a, b, c in parts.with_columns(pl.col("window_start").dt.epoch("ms")).rows()
    } == steps


@examples(25)
@given(st.data(), stream(max_size=40))
def test_totals_of_transitions_do_not_depend_on_the_cut(data, frame):
    whole = run(Sessionize(), frame)["transition_parts"]
    state = MemoryState({table.name: table for table in total_transitions().tables})
    kernel, shown = total_transitions(), []
    at_rows = data.draw(cuts(whole.height))
    bounds = [0, *sorted(at_rows), whole.height]
    for epoch, (start, stop) in enumerate(itertools.pairwise(bounds), start=1):
        step = kernel.step(state, whole[start:stop], Clock(epoch, -1, 0))
        shown.append(step.outputs["page_transitions"])
        state.apply("counts", step.changes["counts"])
    assert not sum(part.height for part in shown)
    last = kernel.step(state, whole.clear(), Clock(99, END_OF_TIME, 0)).outputs["page_transitions"]
    assert last["count"].sum() == whole["count"].sum()
    assert last.select("window_start", "from_page", "to_page").is_unique().all()


def test_a_distance_equal_to_the_gap_starts_a_new_session():
    found = run(Sessionize(), told((0, "page_view"), (30, "page_view"), (59.99, "page_view")))["sessions"]
    assert found.sort("session_start")["events"].to_list() == [1, 2]


def test_an_event_between_two_sessions_joins_them_when_it_comes_within_the_delay():
    frame = told((0, "page_view"), (40, "page_view"), (20, "product_view"))
    found = run(Sessionize(), frame, cuts=[1, 2], delay=25 * MINUTE)
    assert found["sessions"].select("session_start", "session_end", "events").rows() == [(at(0), at(40), 3)]


def test_a_run_is_cut_at_multiples_of_the_maximum_from_its_first_event():
    minutes = [0, 20, 40, 50, 70, 90, 110, 130]
    found = run(Sessionize(longest=60 * MINUTE), told(*[(m, "page_view") for m in minutes], (300, "login")))
    shown = found["sessions"].sort("session_start").select("session_start", "events", "close_reason").rows()
    assert shown == [
        (at(0), 4, "max_length"),
        (at(70), 3, "max_length"),
        (at(130), 1, "gap"),
        (at(300), 1, "drain"),
    ]


def test_a_session_closes_when_the_watermark_reaches_its_end_and_gap():
    kernel = Sessionize()
    state = MemoryState({table.name: table for table in kernel.tables})
    frame = prepare(told((0, "page_view")), kernel)
    base = frame["event_time"].dt.epoch("ms")[0]
    for epoch, (batch, watermark, sessions, events) in enumerate(
        [
            (frame, base, 0, 0),
            (frame.clear(), base + 1, 0, 1),
            (frame.clear(), base + GAP - 1, 0, 0),
            (frame.clear(), base + GAP, 1, 0),
        ],
        start=1,
    ):
        step = kernel.step(state, batch, Clock(epoch, watermark, 0))
        assert (step.outputs["sessions"].height, step.outputs["session_events"].height) == (sessions, events)
        for name, change in step.changes.items():
            state.apply(name, change)
    assert all(frame.is_empty() for frame in state.rows.values())


def test_updates_show_open_sessions_and_keep_their_id():
    frame = told(*[(m, "page_view") for m in range(0, 100, 10)])
    found = run(Sessionize(updates=True), frame, cuts=range(10))["sessions"]
    assert found["id"].n_unique() == 1
    assert found["revision"].to_list() == list(range(1, found.height + 1))
    assert found["final"].to_list() == [False] * (found.height - 1) + [True]
    assert found["events"].is_sorted()
    assert found.height > 5


def test_drain_is_told_from_gap_by_the_last_watermark():
    found = run(Sessionize(), told((0, "page_view"), (100, "page_view")))["sessions"]
    assert found.sort("session_start")["close_reason"].to_list() == ["gap", "drain"]


@pytest.mark.parametrize(("setting", "value"), [("gap", 0), ("longest", -1), ("transition_window", 0)])
def test_wrong_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=setting):
        Sessionize(**{setting: value})


def test_visitors_of_one_hash_are_kept_apart(monkeypatch):
    frame = pl.concat([told(*[(m, "page_view") for m in range(5)], visitor=v) for v in ("v", "w")])
    whole = run(Sessionize(), frame)["sessions"]
    monkeypatch.setattr(numbering, "_who", lambda: pl.lit(7, pl.UInt64))
    assert run(Sessionize(), frame)["sessions"].equals(whole)
    assert whole["events"].to_list() == [5, 5]
