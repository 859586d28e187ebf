"""Whether sinks hold what a checkpoint has sealed: pure comparisons of counts and ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

HOLDINGS_SCHEMA: Final = pl.Schema({"id": pl.String(), "epoch": pl.Int64(), "revision": pl.Int64()})
"""Rows of a table as a sink has them; `revision` is null where the table has none."""

_NAMED: Final = 3  # ids in a remark


@dataclass(frozen=True)
class Span:
    """Epochs that are compared, including the first and the last."""

    first: int
    last: int

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows (HOLDINGS_SCHEMA) of these epochs."""
        return rows.filter(pl.col("epoch").is_between(self.first, self.last))


@dataclass(frozen=True)
class Comparison:
    """What a sink should hold of a table, and what it holds; `remarks` name the differences, if any."""

    expected: int
    found: int
    remarks: tuple[str, ...] = ()


def compare_all(rows: pl.DataFrame, sealed: int, by_epoch: Mapping[int, int], span: Span) -> Comparison:
    """Compare a sink that keeps every row with the seals.

    Args:
        rows: what it holds (HOLDINGS_SCHEMA).
        sealed: number of rows that the epochs of the span have sealed.
        by_epoch: the same by epoch, for epochs whose seals still exist.
        span: epochs that are compared.
    """
    counted = dict(span.of(rows)["epoch"].value_counts().iter_rows())
    found = sum(counted.values())
    remarks = [
        f"epoch {epoch}: {expected:,} sealed, {counted.get(epoch, 0):,} there"
        for epoch, expected in sorted(by_epoch.items())
        if counted.get(epoch, 0) != expected
    ]
    before = min(by_epoch, default=span.last + 1)
    difference = found - sealed - sum(counted.get(epoch, 0) - rows for epoch, rows in by_epoch.items())
    if difference:
        remarks.append(f"epochs before {before}: {abs(difference):,} {'too many' if difference > 0 else 'missing'}")
    return Comparison(sealed, found, tuple(remarks))


def compare_standing(rows: pl.DataFrame, reference: pl.DataFrame, span: Span) -> Comparison:
    """Compare a sink that keeps the highest revision of each id with one that keeps all rows (both HOLDINGS_SCHEMA)."""
    until = reference.filter(pl.col("epoch") <= span.last)
    standing = span.of(
        until.sort("revision", "epoch", descending=[False, True], nulls_last=False).unique("id", keep="last")
    )
    later = reference.filter(pl.col("epoch") > span.last)["id"]
    standing = standing.filter(~pl.col("id").is_in(later.implode()))  # revised since, or about to be
    there = span.of(rows).filter(~pl.col("id").is_in(later.implode()))
    missing = standing.join(there, on="id", how="anti")
    surplus = there.join(standing, on="id", how="anti")
    both = standing.join(there, on="id", suffix="_there")
    stale = both.filter(pl.col("revision") != pl.col("revision_there"))
    remarks = [*_named("missing", missing), *_named("too many", surplus), *_named("of another revision", stale)]
    return Comparison(standing.height, there.height, tuple(remarks))


def _named(what: str, rows: pl.DataFrame) -> Iterator[str]:
    if rows.height:
        ids = ", ".join(rows["id"].sort().head(_NAMED).to_list())
        yield f"{rows.height:,} {what}: {ids}{', ...' if rows.height > _NAMED else ''}"
