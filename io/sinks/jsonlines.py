"""JSON lines: one growing file per table, with a ledger of how much of it is whole."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ecompulse.epochs.errors import Unusable, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.seal import epoch_of
from ecompulse.epochs.sinks import DataFile, Owner, TableSpec
from ecompulse.epochs.state import read_verified
from ecompulse.epochs.steps import Step, reach
from ecompulse.io.disk import fault, obstacle
from ecompulse.io.sinks.lines import json_lines
from ecompulse.io.sinks.registry import SinkContext
from ecompulse.io.stores import LocalStore


def open_json_lines(uri: str, context: SinkContext) -> "JsonLinesSink":
    """The sink of `jsonl:DIRECTORY`; UserError where no directory is named."""
    if uri in {"jsonl:", "jsonl://"}:
        raise UserError(f"--sink: {uri}: names no directory")
    return JsonLinesSink(folder_of(uri), context.outputs)


def folder_of(uri: str) -> str:
    """The directory that `jsonl:DIRECTORY` or `jsonl://DIRECTORY` names, the same in every process."""
    return str(Path(uri.removeprefix("jsonl:").removeprefix("//")).absolute())


@dataclass
class JsonLinesSink:
    """A directory with `<table>-<checkpoint>.jsonl` files; another checkpoint writes other files.

    Exactly once: an epoch is written at the place where the ledger says that the one before it ends, then the
    ledger takes its end, in a file of its own that is written once. What was sealed gives the same bytes whenever
    it is written, so that a driver which was stopped here and wakes after its successor changes nothing: nothing
    is appended or cut off. Readers stop at the last line that is whole.

    Attributes:
        root: directory.
        outputs: store that the epoch's files are in.
    """

    root: str
    outputs: Store
    _suffix: str = ""
    _written: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Where it writes."""
        return f"jsonl:{self.root}"

    def check(self) -> None:
        """UserError when there can be no such directory."""
        root = Path(self.root)
        wrong = f"{root} is a file, not a directory" if root.is_file() else obstacle(root)
        if wrong:
            raise UserError(f"--sink: {root}: {wrong}")

    def open(self, tables: Sequence[TableSpec], owner: Owner) -> None:
        """Make the directory; UserError when that cannot be, or when there are later epochs than ours."""
        self._suffix = f"-{owner.checkpoint[:8]}"
        try:
            Path(self.root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--sink: {self.name}: {error.strerror}") from None
        ledgers = LocalStore(self.root, private=False)
        for table in tables:
            for entry in ledgers.list(f"{table.name}{self._suffix}.ledger"):
                owner.check_copy(f"--sink: {self.name}: {table.name}", epoch_of(entry))

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Write the epoch's rows, once."""
        if not files:
            return
        ledgers, name = LocalStore(self.root, private=False), f"{table.name}{self._suffix}"
        entries = ledgers.list(f"{name}.ledger")
        if name in self._written and not entries:
            raise Unusable(f"--sink: {self.name}: {table.name}: its ledger was removed under the running job")
        last: dict[str, Any] = json.loads(ledgers.get(entries[-1])) if entries else {"epoch": 0, "bytes": 0}
        if last["epoch"] >= epoch:
            return
        lines = self._lines(files)
        try:
            write_at(Path(self.root, f"{name}.jsonl"), last["bytes"], lines)
            reach(Step.JSONL_APPENDED)
            whole = {"epoch": epoch, "bytes": last["bytes"] + len(lines)}
            ledgers.create(f"{name}.ledger/{epoch:08d}", json.dumps(whole).encode())
            ledgers.delete(entries)
        except OSError as error:
            raise fault(f"--sink: {self.name}: {table.name}", error) from error
        self._written.add(name)
        reach(Step.JSONL_RECORDED)

    def _lines(self, files: Sequence[DataFile]) -> bytes:
        contents = (read_verified(self.outputs, file.path, file.sha256) for file in files)
        return b"".join(json_lines(pl.read_parquet(content)) for content in contents)


def write_at(path: Path, start: int, data: bytes) -> None:
    """Write at a place of a file (bytes), durably; the file is made when it is missing, Unusable when it is shorter."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(handle).st_size < start:
            raise Unusable(f"{path} was cut: it has fewer than the {start} bytes that its ledger says")
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, start)
            start, view = start + written, view[written:]
        os.fsync(handle)
    finally:
        os.close(handle)
