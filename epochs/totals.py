"""Rows since a checkpoint began: what was read, where it ended, and what each table has, for the audit of its sinks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Totals:
    """Sums over the epochs after `since`; a seal has those through its own epoch.

    Attributes:
        since: the last epoch that is not in the sums: what a fork takes over it has not published.
        read: rows read, by source and partition (`0/0`).
        accounts: where these rows are, by name: written, dead, held in the state, and so on.
        tables: rows written, by table.
    """

    since: int = 0
    read: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: "Totals") -> "Totals":
        """With another epoch's."""
        return Totals(
            self.since,
            _sum(self.read, other.read),
            _sum(self.accounts, other.accounts),
            _sum(self.tables, other.tables),
        )

    def minus(self, before: "Totals") -> "Totals":
        """What has come since an earlier seal."""
        return Totals(
            self.since,
            _difference(self.read, before.read),
            _difference(self.accounts, before.accounts),
            _difference(self.tables, before.tables),
        )

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


def _difference(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: rows - other.get(name, 0) for name, rows in one.items()}
