"""Event types that no job knows, and translations of a mapping that nothing uses: what `--check` says of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import polars as pl

from ecompulse.kernels.decode import decode
from ecompulse.kernels.event import EVENT_TYPES
from ecompulse.kernels.mapping import Mapping

_NAMED: Final = 5  # types
_WIDTH: Final = 40  # characters of one


def event_type_lines(rows: pl.DataFrame, events: pl.DataFrame, mapping: Mapping | None, now: int) -> Iterator[str]:
    """What to say of the first rows of events.

    Args:
        rows: as they were read.
        events: what is good of them (FRAME_SCHEMA).
        mapping: theirs.
        now: UTC, in ms.
    """
    counted = (
        events["event_type"].drop_nulls().value_counts(sort=True).sort("count", "event_type", descending=[True, False])
    )
    unknown = counted.filter(~pl.col("event_type").is_in(EVENT_TYPES))
    if unknown.height:
        named = _named([f"{str(kind)[:_WIDTH]} ({count:,})" for kind, count in unknown.iter_rows()])
        yield (
            f"{unknown['count'].sum():,} of the first {events.height:,} good rows have an unknown event_type: {named}; "
            f"event_types of --mapping translates them to known ones: {', '.join(EVENT_TYPES)}"
        )
    if mapping and mapping.event_types:
        untranslated = decode(rows, now, replace(mapping, event_types={})).events
        unused = sorted(set(mapping.event_types) - set(untranslated["event_type"]))
        if unused:
            yield f"event_types of --mapping: none of the first {rows.height:,} rows has {_named(unused)}"


def _named(texts: list[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more:,} others" if more > 0 else "")
