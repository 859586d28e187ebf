"""What a directory of JSON lines holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl

from ecompulse.epochs.reconcile import HOLDINGS_SCHEMA
from ecompulse.epochs.sinks import Owner
from ecompulse.io.holders.lake import owned
from ecompulse.io.tabular import read_table


@dataclass(frozen=True)
class JsonLinesHolder:
    """The files of the owner's checkpoint, and of those that it succeeds."""

    root: str
    keeps_all: ClassVar = True

    @property
    def name(self) -> str:
        """As the sink's."""
        return f"jsonl:{self.root}"

    def tables(self) -> list[str]:
        """By the names of files."""
        return sorted({path.name.rpartition("-")[0] for path in Path(self.root).glob("*-*.jsonl")})

    def holdings(self, table: str, owner: Owner) -> pl.DataFrame | None:
        """Rows of the owner."""
        paths = [Path(self.root, f"{table}-{identity[:8]}.jsonl") for identity in owner.lineage]
        types = {**HOLDINGS_SCHEMA, "job": pl.String(), "instance": pl.String()}
        frames = [read_table(path, types) for path in paths if path.exists() and path.stat().st_size]
        return owned(pl.concat(frames), owner) if frames else None
