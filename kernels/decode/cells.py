"""A cell: one value of a row as text, before it has a type; the same for JSON, CSV and Parquet."""

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.decode.units import USUAL
from ecompulse.kernels.foreign.times import TimeReading
from ecompulse.kernels.foreign.values import Preparation
from ecompulse.kernels.mapping import BY_CURRENCY, Mapping


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
        preparation: what is done with the text before, or None.
    """

    latest_ms: int
    lenient: bool
    time: TimeReading
    minor_digits: int
    preparation: Preparation | None = None

    def prepared(self, cell: Cell) -> Cell | None:
        """A cell as it is read; None where it holds nothing.

        Raises:
            BrokenRule: wrong_type, for a value that is not among those that are mapped.
        """
        if self.preparation is None:
            return cell
        if self.preparation.refuses(cell.text, quoted=cell.quoted):
            raise BrokenRule(Rule.WRONG_TYPE, "is none of the values that are mapped")
        text, quoted, _ = self.preparation.apply(pl.Series([cell.text]), pl.Series([cell.quoted]))
        return None if text[0] is None else Cell(text[0], bool(quoted[0]))

    def absent(self) -> Cell | None:
        """What is read where there is no cell."""
        made = self.preparation.made if self.preparation else None
        return Cell(made.default, quoted=True) if made and made.default is not None else None

    @classmethod
    def of(cls, mapping: Mapping, field: str, latest_ms: int, *, typed: bool) -> "Reading":
        """The reading of a field; `typed` when the rows carry JSON's types."""
        digits = mapping.minor_digits.get(field, 0)
        return cls(
            latest_ms=latest_ms,
            lenient=mapping.lenient or not typed,
            time=mapping.time,
            minor_digits=USUAL if digits == BY_CURRENCY else int(digits),
            preparation=mapping.preparation(field),
        )
