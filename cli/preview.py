"""What `--check` shows of rows: ten before and after, fields that stayed empty, a guess at the format."""

import sys
from typing import Final

import polars as pl

from ecompulse.cli.tool import print_table
from ecompulse.epochs.protocols import Source
from ecompulse.io.files import FileSource
from ecompulse.io.files.guess import as_yaml, guess, same
from ecompulse.io.terminal import say
from ecompulse.kernels.decode.api import rows_of
from ecompulse.kernels.decode.nested.decoding import PARTS
from ecompulse.kernels.foreign.shape import paths_of
from ecompulse.kernels.mapping import EVENT, Mapping

SHOWN: Final = 10
"""Rows that are shown before and after."""
_WIDTH: Final = 160  # characters of a row
_COLUMNS: Final = (
    "event_id", "event_type", "event_time", "user_id", "anonymous_id", "session_id", "order_id", "product_id",
    "quantity", "price", "amount", "currency", "payment_status",
)  # fmt: skip


def say_guess(source: Source) -> None:
    """Say how the first file seems to be written, where the mapping does not have it so."""
    if not isinstance(source, FileSource):
        return
    path = source.first_file()
    section = guess(path) if path else None
    if section and not same(section, source.dialect):
        say(f"  {path}: seems to be written so (a guess, for the mapping): {as_yaml(section)}", sys.stdout)


def show_before(rows: pl.DataFrame, mapping: Mapping | None) -> None:
    """The first rows as they were read."""
    head = rows.head(SHOWN)
    raw = rows_of(head, mapping or EVENT).raw(pl.int_range(head.height, eager=True))
    for line in raw:
        text = " ".join((line or b"").decode(errors="backslashreplace").split())
        say(f"  < {text[:_WIDTH]}{'...' if len(text) > _WIDTH else ''}", sys.stdout)


def show_after(rows: pl.DataFrame, events: pl.DataFrame, mapping: Mapping | None) -> None:
    """The events of the first rows, and the fields of the mapping that none of all fills."""
    mapping = mapping or EVENT
    place = pl.col("source_offset") // PARTS if mapping.divides else pl.col("source_offset")
    first = events.filter(place.is_in(rows.head(SHOWN)["source_offset"].implode()))
    filled = [name for name in _COLUMNS if first[name].null_count() < first.height]
    if first.height:
        print_table(first.select(filled), rows=first.height)
    named: dict[str, dict[str, None]] = {}
    for shape in mapping.shapes:
        for name, source in shape.fields.items():
            named.setdefault(name, {}).update(dict.fromkeys(paths_of(source)))
    empty = [name for name in named if events[name].null_count() == events.height]
    if empty:
        said = (f"{name} ({' or '.join(named[name])})" for name in empty)
        say(f"  no row fills {', '.join(said)}", sys.stdout)
