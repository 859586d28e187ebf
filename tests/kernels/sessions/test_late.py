"""Rows behind the watermark: taken while their session is open, told as late when it is not, never lost."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.abandonment import WatchCarts
from ecompulse.kernels.funnels.definition import Funnel
from ecompulse.kernels.funnels.totals import TotalFunnels
from ecompulse.kernels.funnels.track import TrackFunnels
from ecompulse.kernels.sessions.kernel import Sessionize, prepare, total_transitions
from ecompulse.kernels.step import END_OF_TIME, Clock, Kernel
from support.examples import examples
from support.harness import MemoryState, watermarks
from support.journeys import MINUTE, at, run, stream, told
from support.streams import cuts


def late(*events: tuple[float, str], now: float) -> dict[str, pl.DataFrame]:
    """Events of one visitor, the last of which comes when the watermark stands at `now` minutes."""
    before, after = told(*events)[:-1], told(*events)[-1:]
    clock = told((now, "login"), visitor="clock")
    frame = pl.concat([before, clock, after])
    found = run(Sessionize(), frame, cuts=[before.height + 1], delay=0)
    return {name: rows.filter(pl.col("visitor") == "v") for name, rows in found.items() if "visitor" in rows.columns}


def test_a_row_whose_window_has_closed_is_late():
    found = late((0, "page_view"), (10, "page_view"), now=100)
    assert found["late_events"].select("event_id", "operator", "late_by_ms").rows() == [("v1", "sessions", 60 * MINUTE)]
    assert found["sessions"]["events"].to_list() == [1]


def test_it_is_late_from_the_very_moment():
    assert late((0, "page_view"), (0, "page_view"), now=30)["late_events"]["late_by_ms"].to_list() == [0]
    assert late((0, "page_view"), (0.001, "page_view"), now=30)["late_events"].is_empty()


def test_a_row_that_an_open_session_takes_is_not_late():
    found = late((0, "page_view"), (20, "product_view"), (40, "login"), (5, "search"), now=50)
    assert found["late_events"].is_empty()
    assert found["sessions"].select("session_start", "session_end", "events").rows() == [(at(0), at(40), 4)]


def test_a_row_before_an_open_session_extends_it_to_the_left():
    found = late((20, "product_view"), (40, "login"), (-5, "search"), now=50)
    assert found["sessions"].select("session_start", "session_end", "events").rows() == [(at(-5), at(40), 3)]
    assert late((20, "product_view"), (40, "login"), (-10, "search"), now=50)["late_events"].height == 1


def test_a_row_behind_the_watermark_whose_own_window_is_open_begins_a_session():
    found = late((0, "page_view"), (29, "page_view"), now=40)
    assert found["late_events"].is_empty()
    assert found["sessions"]["events"].sum() == 2


@examples(25)
@given(st.data(), stream(max_size=40), st.sampled_from([MINUTE, 10 * MINUTE]))
def test_nothing_is_lost_however_late(data, frame, gap):
    funnel = Funnel(max_time=MINUTE, window=2 * MINUTE)
    kernel = Sessionize(gap=gap, longest=7 * gap, transition_window=MINUTE, parts=(TrackFunnels(funnel), WatchCarts()))
    parts = (total_transitions(MINUTE, gap), TotalFunnels(funnel=funnel, gap=gap))
    found = chained(kernel, parts, prepare(frame, kernel), data.draw(cuts(frame.height)))
    taken, refused = found["session_events"]["event_id"].to_list(), found["late_events"]["event_id"].to_list()
    assert sorted(taken + refused) == sorted(frame["event_id"])
    assert found["sessions"]["events"].sum() == len(taken)
    assert found["sessions"]["id"].is_unique().all()
    places = found["session_events"].group_by("session").agg(pl.col("sequence").sort())
    assert all(s == list(range(1, len(s) + 1)) for s in places["sequence"].to_list())
    # Each window leaves once: a part that came after its window had left would leave under the same id.
    assert found["page_transitions"]["id"].is_unique().all()
    assert found["page_transitions"]["count"].sum() == found["transition_parts"]["count"].sum()
    assert found["funnels"]["id"].is_unique().all()
    assert found["funnels"]["entered"].sum() == found["funnel_parts"]["entered"].sum()


def chained(
    kernel: Kernel, totals: tuple[Kernel, ...], frame: pl.DataFrame, at_rows: list[int]
) -> dict[str, pl.DataFrame]:
    """Outputs of a kernel and of those that add up its parts, stepped with one clock and no delay."""
    kernels = (kernel, *totals)
    states = [MemoryState({table.name: table for table in k.tables}) for k in kernels]
    outputs = {name: [pl.DataFrame(schema=s)] for k in kernels for name, s in k.outputs.items()}
    epochs = [*watermarks(frame, at_rows, 0), (frame.clear(), END_OF_TIME)]
    for epoch, (rows, watermark) in enumerate(epochs, start=1):
        parts: dict[str, pl.DataFrame] = {}
        for k, state in zip(kernels, states, strict=True):
            name = "transition_parts" if k.name == "page_transitions" else "funnel_parts"
            step = k.step(state, rows if k is kernel else parts[name], Clock(epoch, watermark, 0))
            parts = parts or dict(step.outputs)
            for name, change in step.changes.items():
                state.apply(name, change)
            for name, out in step.outputs.items():
                outputs[name].append(out)
    return {name: pl.concat(frames) for name, frames in outputs.items()}
