"""A job's operators and partitions, as its seal has them."""

from dataclasses import dataclass

from ecompulse.epochs.seal import Seal


@dataclass(frozen=True)
class Lag:
    """Offsets of a partition that are there and were not read."""

    source: str
    partition: str
    lag: int


@dataclass(frozen=True)
class Operator:
    """Keyed state of an operator, from its heads in the last seal.

    Attributes:
        skew: rows of the fullest shard over those of the mean one; None without rows.
    """

    name: str
    rows: int
    bytes: int
    shards: int
    skew: float | None


def operators_of(seal: Seal) -> list[Operator]:
    """Of an epoch, by name."""
    found = []
    for name, shards in sorted(seal.state.items()):
        sizes = [
            [(run["rows"], run["bytes"]) for runs in head["tables"].values() for run in runs]
            for head in shards.values()
            if head
        ]
        rows = [sum(rows for rows, _ in runs) for runs in sizes]
        skew = max(rows) * len(rows) / sum(rows) if sum(rows) else None
        found.append(Operator(name, sum(rows), sum(size for runs in sizes for _, size in runs), len(shards), skew))
    return found
