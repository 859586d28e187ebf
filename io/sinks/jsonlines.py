"""JSON lines: one growing file per table, with a ledger of how much of it is whole."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ecompulse.epochs.protocols import DataFile, Store, TableSpec
from ecompulse.epochs.steps import Step, reach
from ecompulse.io.stores import LocalStore


@dataclass
class JsonLinesSink:
    """A directory with `<table>-<checkpoint>.jsonl` files; another checkpoint writes other files.

    Exactly once for readers that stop at the ledger's length, at least once for others: an epoch is appended
    after what the ledger says is whole (anything beyond is cut off first), then the ledger takes the new length.

    Attributes:
        root: directory.
        outputs: store that the epoch's files are in.
    """

    root: str
    outputs: Store
    _suffix: str = ""

    @property
    def name(self) -> str:
        """Where it writes."""
        return f"jsonl:{self.root}"

    def open(self, tables: Sequence[TableSpec], checkpoint_id: str) -> None:
        """Make the directory."""
        del tables
        Path(self.root).mkdir(parents=True, exist_ok=True)
        self._suffix = f"-{checkpoint_id[:8]}"

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Append the epoch's rows, once."""
        if not files:
            return
        ledgers, name = LocalStore(self.root), f"{table.name}{self._suffix}"
        try:
            whole: dict[str, Any] = json.loads(ledgers.get(f"{name}.ledger"))
        except FileNotFoundError:
            whole = {"epoch": 0, "bytes": 0}
        if whole["epoch"] >= epoch:
            return
        with Path(self.root, f"{name}.jsonl").open("ab") as target:
            target.truncate(whole["bytes"])
            for file in files:
                pl.read_parquet(self.outputs.get(file.path)).write_ndjson(target)
            target.flush()
            os.fsync(target.fileno())
            size = target.seek(0, os.SEEK_END)
        reach(Step.JSONL_APPENDED)
        ledgers.put(f"{name}.ledger", json.dumps({"epoch": epoch, "bytes": size}).encode())
        reach(Step.JSONL_RECORDED)
