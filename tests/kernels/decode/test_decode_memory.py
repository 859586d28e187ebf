"""What a bad row breaks is kept; the batch that it came in is not."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import pytest

from ecompulse.kernels.decode import decode
from ecompulse.kernels.event import HEADER, RAW_SCHEMA
from ecompulse.kernels.mapping import Mapping, load_mapping

BROKEN = [
    b"",
    b"{",
    b"[1]",
    b'{"a":NaN}',
    b'{"a":1,"a":2}',
    b'{"a":1e999}',
    b'{"event_time":"never"}',
    b"\xff",
    b"1,2,3",
]


@contextmanager
def garbage() -> Iterator[list[object]]:
    """What only a collection of garbage would have freed: objects in cycles."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def rows(form: str) -> pl.DataFrame:
    good = {"csv": b"e1,page_view,2023-11-14T22:00:00Z,u1"}.get(form, b'{"event_id":"e1","event_type":"page_view"}')
    raw = [good, *BROKEN] * 20  # more than are judged one by one
    columns = {"raw": raw, "source": "f", "source_partition": 0, "source_offset": range(len(raw))}
    frame = pl.DataFrame(columns, schema=RAW_SCHEMA)
    if form == "csv":
        return frame.with_columns(pl.lit("event_id,event_type,event_time,user_id").alias(HEADER))
    if form == "columns":
        return frame.drop("raw").with_columns(event_id="source", event_time=pl.lit("never"))
    return frame


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("form", "mapping"), [("json", None), ("json", "ga4"), ("csv", None), ("columns", None)])
def test_bad_rows_leave_no_frame_behind(form, mapping):
    given, how = rows(form), load_mapping(mapping) if mapping else Mapping()
    decode(given, 1_700_000_000_000, how)  # what is imported and compiled the first time
    with garbage() as found:
        dead = decode(given, 1_700_000_000_000, how).dead.height
    assert dead >= len(BROKEN)
    assert not [each for each in found if isinstance(each, pl.DataFrame | pl.Series)]
