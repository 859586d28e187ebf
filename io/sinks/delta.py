"""Delta tables: one commit per table and epoch, of files that workers have already written."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ecompulse.epochs.errors import JobError, Unusable, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import NOBODY, DataFile, Owner, TableSpec
from ecompulse.epochs.state import read_verified
from ecompulse.epochs.steps import Step, reach
from ecompulse.epochs.stored import DATE, stored_schema
from ecompulse.io.delta.ownership import claim, other_owner
from ecompulse.io.disk import fault, is_lasting
from ecompulse.kernels.dictionary.registry import about, comment_of

_CONFIGURATION: Final = {
    "delta.checkpointInterval": "100",  # commits between Delta's own checkpoints: readers list that many at most
    "delta.dataSkippingNumIndexedCols": "0",  # statistics of columns: see `_add`
}
_DRAWING: Final = re.compile(r"\x1b\[[0-9;]*m|\u21b3")
_LONGEST_LINE: Final = 300  # characters


@dataclass
class DeltaSink:
    """A lake of Delta tables, partitioned by UTC date.

    Exactly once: the commit carries an application transaction, job/checkpoint/table at version epoch, which is
    compared on the table version that the commit is based on; a conflicting commit makes it look again. A second
    transaction says whose the rows of the job and instance are, so that two checkpoints do not write beside each other.

    Attributes:
        outputs: store of the tables' files.
        options: storage options of deltalake, for object stores.
    """

    outputs: Store
    options: dict[str, str] | None = None
    _owner: Owner = NOBODY
    _schemas: dict[str, Schema] = field(default_factory=dict)
    _tables: dict[str, DeltaTable] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Where it writes."""
        return f"lake:{self.root}"

    @property
    def root(self) -> str:
        """Directory or URI of the tables."""
        return self.outputs.root

    def open(self, tables: Sequence[TableSpec], owner: Owner) -> None:
        """Create tables that are missing and add columns that are new.

        UserError when a type changed, or a table holds another checkpoint's rows that are not to be replaced, or later
        epochs than ours.
        """
        self._owner = owner
        for spec in tables:
            schema = delta_schema(spec)
            self._schemas[spec.name] = schema
            try:
                self._open(spec, schema)
            except (DeltaError, OSError) as error:
                wrong = Unusable if _lasts(error) else UserError if isinstance(error, DeltaError) else JobError
                raise wrong(f"--lake: {self._uri(spec.name)}: {_line(error)}") from None

    def _open(self, spec: TableSpec, schema: Schema) -> None:
        if "://" not in self.root:
            Path(self._uri(spec.name)).mkdir(parents=True, exist_ok=True)
        try:
            table = DeltaTable(self._uri(spec.name), storage_options=self.options)
        except TableNotFoundError:
            table = self._create(spec, schema)
        self._is_foreign(table, spec.name)
        published = table.transaction_version(self._application(spec.name)) or 0
        self._owner.check_copy(f"--lake: {self._uri(spec.name)}", published)
        _evolve(table, schema, spec.name)

    def _is_foreign(self, delta: DeltaTable, table: str) -> bool:
        """Whether rows of another checkpoint are there, and are to be replaced; UserError when they are to stay."""
        other = other_owner(delta, self._owner)
        if other is not None and not self._owner.replace:
            raise UserError(f"--lake: {self._owner.conflict(self._uri(table), other)}")
        return other is not None

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """Add the epoch's files to the table, once; the first time, if so asked, in the place of all that was there."""
        if not files and (not self._owner.replace or table.name in self._settled):
            return
        try:
            self._commit(table, epoch, files)
        except (DeltaError, OSError) as error:
            wrong = Unusable if _lasts(error) else JobError
            raise wrong(f"--lake: {self._uri(table.name)}: {_line(error)}") from error
        self._settled.add(table.name)
        reach(Step.LAKE_COMMITTED)

    @retry(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(20),
        wait=wait_random_exponential(0.05, max=2),
        reraise=True,
    )
    def _commit(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        app = self._application(table.name)
        delta = self._newest(table.name)
        if (delta.transaction_version(app) or 0) >= epoch:
            return
        foreign = self._is_foreign(delta, table.name)
        if not files and not foreign:
            return
        reach(Step.LAKE_BEFORE_COMMIT)
        properties = CommitProperties(
            app_transactions=[Transaction(app, epoch), claim(self._owner)],
            custom_metadata={"job": self._owner.job, "epoch": str(epoch)},
            max_commit_retries=0,  # a retry inside would not compare the transactions again
        )
        if foreign:
            self._replace(delta, files, properties)
            return
        delta.create_write_transaction(
            [_add(table.name, file) for file in files],
            mode="append",
            schema=self._schemas[table.name],
            partition_by=[DATE],
            commit_properties=properties,
        )
        self._tables[table.name] = delta  # only now: what has failed is opened anew

    def _replace(self, delta: DeltaTable, files: Sequence[DataFile], properties: CommitProperties) -> None:
        """One commit takes away all rows of the job and instance, of whichever checkpoint, and adds these.

        The rows are written anew: files that hold rows of several jobs, after a compaction, are split on the way.
        """
        instance = self._owner.instance
        whose = f"instance = '{instance}'" if instance is not None else "instance IS NULL"
        schema = pa.schema(delta.schema().to_arrow())  # may have columns that a newer version has added
        tables = [schema.empty_table(), *(self._rows_of(file).to_arrow() for file in files)]
        write_deltalake(
            delta,
            pa.concat_tables(tables, promote_options="permissive").select(schema.names).cast(schema),
            mode="overwrite",
            predicate=f"job = '{self._owner.job}' AND {whose}",
            partition_by=[DATE],
            commit_properties=properties,
        )

    def _rows_of(self, file: DataFile) -> pl.DataFrame:
        rows = pl.read_parquet(read_verified(self.outputs, file.path, file.sha256))
        return rows.with_columns(pl.lit(file.partition).str.to_date().alias(DATE))

    def _newest(self, table: str) -> DeltaTable:
        """The newest version; of a table that was committed to before only what has come since is read."""
        if not self._is_there(table):
            raise Unusable(f"--lake: {self._uri(table)}: was removed under the running job")
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
            description=about(spec.name).grain or None,
            configuration=_CONFIGURATION,
            storage_options=self.options,
        )

    def _is_there(self, table: str) -> bool:
        """Whether the table's log is there, where that can be seen at once."""
        return "://" in self.root or Path(self._uri(table), "_delta_log").is_dir()

    def _application(self, table: str) -> str:
        """Under which the ledger has our last epoch in a table."""
        return f"{self._owner.job}/{self._owner.checkpoint}/{table}"

    def _uri(self, table: str) -> str:
        return f"{self.root}/{table}"


def delta_schema(spec: TableSpec) -> Schema:
    """Schema of a table in the lake."""
    columns = pl.Schema({**stored_schema(spec), DATE: pl.Date()})
    plain = Schema.from_arrow(pl.DataFrame(schema=columns).to_arrow().schema)
    return Schema([_commented(spec.name, column) for column in plain.fields])


def _commented(table: str, column: Field) -> Field:
    """A column with what it means, where Spark and others look for it."""
    comment = comment_of(table, column.name)
    metadata = {**column.metadata, **({"comment": comment} if comment else {})}
    return Field(column.name, column.type, nullable=column.nullable, metadata=metadata)


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
    # The number of rows and no more: of statistics of some columns deltalake's own reader makes filters that let no row
    # of the other columns through. Files have statistics of their own, and dates are partitions.
    return AddAction(
        path=file.path.removeprefix(f"{table}/"),
        size=file.bytes,
        partition_values={DATE: file.partition},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )


def _lasts(error: Exception) -> bool:
    """Whether a disk is full, or closed to us."""
    if isinstance(error, OSError) and error.errno is not None:
        return isinstance(fault("", error), Unusable)
    return is_lasting(str(error))


def _line(error: Exception) -> str:
    """What went wrong, in a line; the object store's client draws a tree of causes, in colours."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not said.startswith("Kernel error") and not _DRAWING.search(said):
        return said.splitlines()[0]
    causes = [_DRAWING.sub("", line).strip() for line in said.splitlines()]
    return " ".join(cause for cause in causes if cause)[:_LONGEST_LINE]
