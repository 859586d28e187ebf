"""Where visits and carts begin, against a walk over each visitor's events."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA, TIME
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import standard_metrics
from ecompulse.kernels.metrics.visits import FollowVisits, as_events, condensed
from ecompulse.kernels.rows import conform
from ecompulse.kernels.sessions.kernel import Sessionize
from support.examples import examples
from support.harness import run_kernel
from support.metric_runs import by_window, ms, one_step, plain
from support.streams import arrivals, cuts

MINUTE = 60_000
KERNEL = FollowVisits(gap=5 * MINUTE, horizon=10 * MINUTE)
FIELDS = {
    "event_type": st.sampled_from(["page_view", "add_to_cart", "add_to_cart", "purchase", "refund"]),
    "user_id": st.sampled_from(["a", "b"]),
}


def walk(events):
    """Beginnings of visits, and of carts with whether they were bought: sets of (visitor, ms[, bought])."""
    visits, carts = set(), set()
    for visitor in {e["user_id"] for e in events}:
        mine = [e for e in events if e["user_id"] == visitor and e["event_type"] != "refund"]
        mine.sort(key=lambda e: (e["at"], e["event_type"] == "purchase"))
        seen = added = None
        for e in mine:
            if seen is None or e["at"] - seen >= KERNEL.gap:
                visits.add((visitor, e["at"]))
            seen = e["at"]
            if e["event_type"] == "purchase":
                added = None
            if e["event_type"] == "add_to_cart":
                if added is None or e["at"] - added > KERNEL.horizon:
                    bought = any(
                        b["event_type"] == "purchase" and 0 <= b["at"] - e["at"] <= KERNEL.horizon for b in mine
                    )
                    carts.add((visitor, e["at"], bought))
                added = e["at"]
    return visits, carts


class Condensing(FollowVisits):
    """Sees of each batch what is left of it before the shuffle."""

    def step(self, state, batch, clock):
        return super().step(state, condensed(batch, self.gap), clock)


@examples(50)
@given(arrivals(FIELDS, delay=120_000, span=2_400_000, max_size=40), st.data(), st.booleans())
def test_marks_equal_a_walk(events, data, condense):
    stream = events.with_columns(visitor="user_id")
    at = data.draw(cuts(events.height))
    kernel = Condensing(gap=KERNEL.gap, horizon=KERNEL.horizon) if condense else KERNEL
    marks = run_kernel(kernel, stream, cuts=at, num_shards=2, delay=120_000)["marks"].to_dicts()
    visits = {(m["visitor"], ms(m["event_time"])) for m in marks if m["event_type"] == "session_start"}
    carts = {
        (m["visitor"], ms(m["event_time"]), json.loads(m["properties"])["bought"])
        for m in marks
        if m["event_type"] == "cart"
    }
    assert (visits, carts) == walk(plain(events))
    assert len({m["event_id"] for m in marks}) == len(marks)


def test_marks_are_counted_by_the_standard_metrics():
    marks = pl.DataFrame(
        {
            "event_id": ["1", "2", "3"],
            "event_type": ["cart", "cart", "session_start"],
            "event_time": [0, 1, 2],
            "visitor": ["a", "b", "a"],
            "properties": ['{"bought":true}', '{"bought":false}', None],
        }
    )
    schema = pl.Schema({**FRAME_SCHEMA, "visitor": pl.String()})
    plan = bind(standard_metrics().only("cart_abandonment_rate", "sessions_started"), schema, fill=0)
    rows = by_window(one_step(plan, as_events(marks, schema)))
    assert {key[0]: float(row["value"]) for key, row in rows.items() if key[1] in ("1m", "10m")} == {
        "cart_abandonment_rate": 0.5,
        "sessions_started": 1.0,
    }


@pytest.mark.parametrize("distance", [1, KERNEL.gap - 1, KERNEL.gap, KERNEL.gap + 1])
def test_a_visit_begins_where_a_session_does(distance):
    moments = [0, distance, 2 * distance, 2 * distance + 1]
    events = pl.DataFrame({"event_time": moments, "source_offset": range(4)}).with_columns(
        pl.col("event_time").cast(TIME),
        visitor=pl.lit("a"),
        event_type=pl.lit("page_view"),
        event_id=pl.col("source_offset").cast(pl.String),
        source=pl.lit("s"),
        source_partition=pl.lit(0),
    )
    marks = run_kernel(KERNEL, events.with_columns(user_id="visitor"))["marks"]
    sessions = Sessionize(gap=KERNEL.gap)
    begun = run_kernel(sessions, conform(events, pl.Schema({**FRAME_SCHEMA, **sessions.inputs})))["sessions"]
    assert sorted(marks["event_time"]) == sorted(begun["session_start"])
    assert marks.height == (3 if distance >= KERNEL.gap else 1)
