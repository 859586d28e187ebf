"""Row counts since a checkpoint began: rows read, where they ended, and rows per table, for the audit of its sinks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Totals:
    """Sums over the epochs after `since`; a seal has those through its own epoch.

    Attributes:
        since: the last epoch that is not in the sums: a fork has not published the epochs that it takes over.
        read: rows read, by source and partition (`0/0`).
        accounts: where these rows are, by name: written, dead, held in the state, and so on.
        tables: rows written, by table.
    """

    since: int = 0
    read: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: "Totals") -> "Totals":
        """The sums plus those of another epoch."""
        return self._with(other, 1)

    def minus(self, before: "Totals") -> "Totals":
        """The sums since an earlier seal."""
        return self._with(before, -1)

    def _with(self, other: "Totals", sign: int) -> "Totals":
        parts = ((self.read, other.read), (self.accounts, other.accounts), (self.tables, other.tables))
        return Totals(self.since, *(_added(mine, theirs, sign) for mine, theirs in parts))

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _added(one: Mapping[str, int], other: Mapping[str, int], sign: int) -> dict[str, int]:
    return {name: one.get(name, 0) + sign * other.get(name, 0) for name in sorted({*one, *other})}
