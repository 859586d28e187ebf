"""Findings of the table data_quality as they grow: a window comes again whole, with a higher revision."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl

MOST: Final = 10_000
"""Rows whose last count is remembered: those that came last, of which revisions are to be expected."""


@dataclass
class Findings:
    """Says how much more each row counts than its last revision did.

    Attributes:
        most: see MOST.
    """

    most: int = MOST
    _counts: dict[str, int] = field(default_factory=dict)

    def take(self, rows: pl.DataFrame) -> Iterator[tuple[str, str, int]]:
        """Check, subject and what was found since; nothing of a row whose earlier revision is not known."""
        revisions = rows.sort("revision").select("id", "revision", "check_name", "subject", "count")
        for name, revision, check, subject, count in revisions.iter_rows():
            before = 0 if revision == 1 else self._counts.get(name, count)
            self._counts.pop(name, None)
            self._counts[name] = count  # now the newest
            yield check, subject, max(count - before, 0)
        for name in list(self._counts)[: max(len(self._counts) - self.most, 0)]:
            del self._counts[name]
