"""A cell: one value of a row as text, before it has a type; the same for JSON, CSV and Parquet."""

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from ecompulse.kernels.mapping import Mapping, TimeReading


class Cell(NamedTuple):
    """One value of a row.

    Attributes:
        text: of a string, its characters; of anything else its JSON text, a number as it was written.
        quoted: it is a string.
    """

    text: str
    quoted: bool


class Cells(NamedTuple):
    """One column of a batch, as read.

    Attributes:
        text: String, one per row; null where absent. Numbers of JSON have been through a double here, so that
            only what a screen lets pass may be believed.
        quoted: Boolean, one per row: it is a string.
    """

    text: pl.Series
    quoted: pl.Series

    def at(self, row: int) -> Cell | None:
        """The cell of one row."""
        text = self.text[row]
        return None if text is None else Cell(text, bool(self.quoted[row]))


@dataclass(frozen=True)
class Reading:
    """How the cells of one field are read.

    Attributes:
        latest_ms: the latest event time (UTC ms) that is believed.
        lenient: text that parses is taken for a number, and a number for text.
        time: format, zone and unit of event_time.
        minor_digits: an amount is an integer of units of 10^-minor_digits; 0 = it is an amount as it stands.
    """

    latest_ms: int
    lenient: bool
    time: TimeReading
    minor_digits: int

    @classmethod
    def of(cls, mapping: Mapping, field: str, latest_ms: int, *, typed: bool) -> "Reading":
        """The reading of a field; `typed` when the rows carry JSON's types."""
        return cls(
            latest_ms=latest_ms,
            lenient=mapping.lenient or not typed,
            time=mapping.time,
            minor_digits=mapping.minor_digits.get(field, 0),
        )
