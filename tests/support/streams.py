"""Hypothesis strategies for streams of events in arrival order, disordered within a delay."""

from collections.abc import Mapping

import polars as pl
from hypothesis import strategies as st

from ecompulse.kernels.event import FRAME_SCHEMA

BASE = 1_700_000_000_000  # ms


@st.composite
def arrivals(
    draw: st.DrawFn,
    fields: Mapping[str, st.SearchStrategy[object]],
    *,
    delay: int = 600_000,
    span: int = 7_200_000,
    partitions: int = 2,
    max_size: int = 60,
) -> pl.DataFrame:
    """A frame of events in arrival order: per partition, an event comes at most `delay` ms after a later one.

    `fields` gives a strategy for each column to fill besides event_id, event_time and the position; columns
    not named are null. Event times are multiples of 1 s most of the time, so that ties and gaps are met.
    """
    second = st.integers(0, span // 1000).map(lambda s: s * 1000)
    row = st.fixed_dictionaries(
        {
            "at": second | st.integers(0, span),
            "jitter": st.integers(0, delay),
            "source_partition": st.integers(0, partitions - 1),
            **fields,
        }
    )
    rows = draw(st.lists(row, max_size=max_size))
    rows.sort(key=lambda r: r["at"] + r["jitter"])
    offsets = dict.fromkeys(range(partitions), 0)
    events = []
    for number, item in enumerate(rows):
        part = item["source_partition"]
        offsets[part] += 1
        event = dict.fromkeys(FRAME_SCHEMA)
        event.update({name: item[name] for name in fields})
        event.update(source="test", source_partition=part, source_offset=offsets[part], event_time=BASE + item["at"])
        if event["event_id"] is None:
            event["event_id"] = f"e{number}"
        events.append(event)
    schema = {**FRAME_SCHEMA, "event_time": pl.Int64()}
    frame = pl.DataFrame(events, schema=schema, orient="row")
    return frame.with_columns(pl.col("event_time").cast(FRAME_SCHEMA["event_time"]))


def cuts(size: int) -> st.SearchStrategy[list[int]]:
    """Row numbers to cut a stream of `size` rows into epochs at."""
    return st.lists(st.integers(0, size), max_size=6)
