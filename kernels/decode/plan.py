"""What a batch is decoded by: the mapping and now, worked out once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ecompulse.kernels.decode.cells import Cell, Reading
from ecompulse.kernels.event import FIELDS, MAX_FUTURE_MS, Kind
from ecompulse.kernels.mapping import EVENT, Mapping

PROPERTIES: Final = "properties"
IDENTITIES: Final = ("user_id", "anonymous_id")
NOTHING_IF_EMPTY: Final = (*IDENTITIES, "currency")
"""Fields whose empty text says nothing: it is nobody's id, and no currency."""
"""One of them is required; an empty text is none."""

COLUMN_FIELDS: Final = tuple(field for field in FIELDS if field.kind is not Kind.OBJECT)
"""The fields that one column holds: all but `properties`."""


@dataclass(frozen=True)
class Plan:
    """How rows become events.

    Attributes:
        mapping: of their columns.
        now_ms: processing time (UTC ms).
        typed: the rows carry JSON's types; CSV and Parquet do not.
    """

    mapping: Mapping
    now_ms: int
    typed: bool

    @cached_property
    def sources(self) -> dict[str, str]:
        """Event field by foreign column."""
        return self.mapping.sources()

    @cached_property
    def readings(self) -> dict[str, Reading]:
        """How the cells of each field are read."""
        latest = self.now_ms + MAX_FUTURE_MS
        return {field.name: Reading.of(self.mapping, field.name, latest, typed=self.typed) for field in COLUMN_FIELDS}

    @cached_property
    def constants(self) -> dict[str, Cell]:
        """Cells that are the same in every row."""
        return {name: Cell(value, quoted=True) for name, value in self.mapping.constants.items()}

    def named(self, field: str) -> str:
        """A field as messages name it: by the column that the row has."""
        return self.mapping.column(field)

    @cached_property
    def nobody(self) -> str:
        """What is wrong with a row of nobody."""
        known = {*self.mapping.fields, *self.sources.values()}
        fed = [self.named(name) for name in IDENTITIES if name in known]
        return f"{fed[0]} is missing" if len(fed) == 1 else f"{' and '.join(fed)} are both missing"

    @property
    def hashes_ids(self) -> bool:
        """Whether an absent event_id is the hash of the row."""
        return self.mapping.event_id == "hash"


def plan_for(mapping: Mapping | None, now_ms: int, *, typed: bool) -> Plan:
    """The plan of a mapping; none = the rows are events already."""
    return Plan(mapping or EVENT, now_ms, typed)
