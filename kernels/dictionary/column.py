"""How a column and a table are described."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Column:
    """What a column means.

    Attributes:
        meaning: in a line, for somebody who has not read the code.
        unit: of a number; empty where there is none.
        values: all that a text may be; empty where it may be anything.
        example: a value as a reader sees it.
    """

    meaning: str
    unit: str = ""
    values: tuple[str, ...] = ()
    example: str = ""

    @property
    def comment(self) -> str:
        """The description in one text, as stores keep it beside a column."""
        unit = f" [{self.unit}]" if self.unit else ""
        values = f"; one of: {', '.join(self.values)}" if self.values else ""
        example = f"; e.g. {self.example}" if self.example else ""
        return f"{self.meaning}{unit}{values}{example}"


@dataclass(frozen=True)
class About:
    """What a table holds.

    Attributes:
        grain: what one row stands for.
        columns: by name; a name that ends with `*` stands for all that begin alike.
        settles: when a row changes no more.
    """

    grain: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    settles: str = "A row is written once and never changes."

    def column(self, name: str) -> Column | None:
        """What a column means; None where nobody has said it."""
        if found := self.columns.get(name) or COMMON.get(name):
            return found
        prefixes = (given for given in self.columns if given.endswith("*") and name.startswith(given[:-1]))
        return self.columns.get(max(prefixes, key=len, default=""))


COMMON: Final = {
    "id": Column("identity of the row, which follows from its content: the same in every sink and every run"),
    "job": Column("job that wrote the row", example="session_analytics"),
    "instance": Column("instance of the job (`--instance`); null for the only one"),
    "epoch": Column("epoch that wrote the row; provenance, outside of equality"),
    "event_date": Column("UTC date of the table's time column; the lake is partitioned by it", example="2025-03-01"),
    "revision": Column("grows with each row of an `id`; the row with the greatest one stands"),
    "final": Column("whether the row is settled; one that is not may come again with a higher `revision`"),
}
"""Columns that mean the same in every table."""
