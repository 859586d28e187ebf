"""Delta tables: one commit per table and epoch, of files that workers have already written."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import DataFile, TableSpec
from ecompulse.epochs.steps import Step, reach
from ecompulse.epochs.tables import DATE, stored_schema

_CHECKPOINT_INTERVAL: Final = "100"  # commits between Delta's own checkpoints: readers list that many at most
_DRAWING: Final = re.compile(r"\x1b\[[0-9;]*m|\u21b3")
_LONGEST_LINE: Final = 300  # characters


@dataclass
class DeltaSink:
    """A lake of Delta tables, partitioned by UTC date.

    Exactly once: the commit carries an application transaction, job/checkpoint/table at version epoch, which is
    compared on the table version that the commit is based on; a conflicting commit makes it look again.

    Attributes:
        root: directory or URI of the tables.
        job: name of the job.
        options: storage options of deltalake, for object stores.
    """

    root: str
    job: str
    options: dict[str, str] | None = None
    _checkpoint_id: str = ""
    _schemas: dict[str, Schema] = field(default_factory=dict)
    _tables: dict[str, DeltaTable] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Where it writes."""
        return f"lake:{self.root}"

    def open(self, tables: Sequence[TableSpec], checkpoint_id: str) -> None:
        """Create tables that are missing and add columns that are new; UserError when a type changed."""
        self._checkpoint_id = checkpoint_id
        for spec in tables:
            schema = delta_schema(spec)
            self._schemas[spec.name] = schema
            try:
                self._open(spec, schema)
            except (DeltaError, OSError) as error:
                raise UserError(f"--lake: {self._uri(spec.name)}: {_line(error)}") from None

    def _open(self, spec: TableSpec, schema: Schema) -> None:
        if "://" not in self.root:
            Path(self._uri(spec.name)).mkdir(parents=True, exist_ok=True)
        try:
            table = DeltaTable(self._uri(spec.name), storage_options=self.options)
        except TableNotFoundError:
            table = self._create(spec, schema)
        _evolve(table, schema, spec.name)

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Add the epoch's files to the table, once."""
        if not files:
            return
        try:
            self._commit(table, epoch, files)
        except (DeltaError, OSError) as error:
            raise JobError(f"--lake: {self._uri(table.name)}: {_line(error)}") from error
        reach(Step.LAKE_COMMITTED)

    @retry(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(20),
        wait=wait_random_exponential(0.05, max=2),
        reraise=True,
    )
    def _commit(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        app = f"{self.job}/{self._checkpoint_id}/{table.name}"
        delta = self._newest(table.name)
        if (delta.transaction_version(app) or 0) >= epoch:
            return
        reach(Step.LAKE_BEFORE_COMMIT)
        delta.create_write_transaction(
            [_add(table.name, file) for file in files],
            mode="append",
            schema=self._schemas[table.name],
            partition_by=[DATE],
            commit_properties=CommitProperties(
                app_transactions=[Transaction(app, epoch)],
                custom_metadata={"job": self.job, "epoch": str(epoch)},
                max_commit_retries=0,  # a retry inside would not compare the transaction again
            ),
        )
        self._tables[table.name] = delta  # only now: what has failed is opened anew

    def _newest(self, table: str) -> DeltaTable:
        """The newest version; of a table that was committed to before only what has come since is read."""
        known = self._tables.pop(table, None)
        if known is None:
            known = DeltaTable(self._uri(table), storage_options=self.options)
        else:
            known.update_incremental()
        return known

    def _create(self, spec: TableSpec, schema: Schema) -> DeltaTable:
        return DeltaTable.create(
            self._uri(spec.name),
            schema,
            mode="ignore",
            partition_by=[DATE],
            name=spec.name,
            configuration={"delta.checkpointInterval": _CHECKPOINT_INTERVAL},
            storage_options=self.options,
        )

    def _uri(self, table: str) -> str:
        return f"{self.root}/{table}"


def delta_schema(spec: TableSpec) -> Schema:
    """Schema of a table in the lake."""
    columns = pl.Schema({**stored_schema(spec), DATE: pl.Date()})
    return Schema.from_arrow(pl.DataFrame(schema=columns).to_arrow().schema)


def _evolve(table: DeltaTable, schema: Schema, name: str) -> None:
    existing = {column.name: column for column in table.schema().fields}
    fresh: list[Field] = []
    for column in schema.fields:
        known = existing.get(column.name)
        if known is None:
            fresh.append(column)
        elif known.type != column.type:
            raise UserError(
                f"--lake: table {name} has column {column.name} of type {known.type}, the job writes {column.type}; "
                "use another --lake"
            )
    if fresh:
        table.alter.add_columns(fresh)


def _add(table: str, file: DataFile) -> AddAction:
    stats: dict[str, Any] = dict(file.stats)
    return AddAction(
        path=file.path.removeprefix(f"{table}/"),
        size=file.bytes,
        partition_values={DATE: file.partition},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=json.dumps(stats),
    )


def _line(error: Exception) -> str:
    """What went wrong, in a line; the object store's client draws a tree of causes, in colours."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not said.startswith("Kernel error"):
        return said.splitlines()[0]
    causes = [_DRAWING.sub("", line).strip() for line in said.splitlines()]
    return " ".join(cause for cause in causes if cause)[:_LONGEST_LINE]
