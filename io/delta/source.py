"""A Delta table that is appended to, as a source: one partition, an offset is (version, file, row)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import EVENTS, Backlog, Split
from ecompulse.io.delta.lake import check_place
from ecompulse.io.delta.log import Added, added_by, snapshot
from ecompulse.io.delta.partitions import columns, kinds_of
from ecompulse.io.files.parquet import read_rows
from ecompulse.io.files.reader import positioned
from ecompulse.io.s3 import S3Store, StoreError, address_options, storage_options
from ecompulse.io.stores import open_store

TABLE: Final = "table"
"""Name of the one position."""

_SPLIT_ROWS: Final = 50_000
_NOT_READ: Final = {"deletionVectors", "columnMapping"}
"""Features of tables whose files do not hold the rows, or the columns, as they are."""


def is_table(uri: str) -> bool:
    """Whether a `--source` is a Delta table: in a bucket nothing else is read."""
    return uri.startswith("s3://") or (Path(uri) / "_delta_log").is_dir()


@dataclass(frozen=True)
class Cursor:
    """Where reading goes on.

    Attributes:
        table: id of the table.
        version: that the files are of.
        base: whether they are all files of the version, with which reading began, or those that it added.
        file: index of the next file.
        row: of that file.
    """

    table: str
    version: int
    base: bool = False
    file: int = 0
    row: int = 0


@dataclass
class DeltaSource:
    """A table in a directory or a bucket.

    Reading begins with the table as it stands, and goes on with what later versions append. A version that takes
    rows away, a table made again under the same name, and a log that was cleaned up before it was read end the job.

    Attributes:
        uri: directory, or `s3://bucket/table`.
        index: number of the `--source`.
        max_files: begun per epoch at the most.
        role: see `Source`.
        endpoint: URL of an S3 server other than AWS.
    """

    uri: str
    index: int
    max_files: int = 1000
    role: str = EVENTS
    endpoint: str | None = None

    def check(self) -> None:
        """Raise UserError when there is no table, or none that can be read file by file."""
        store = open_store(self.uri, self.endpoint)
        try:
            check_place(self.uri)
            if isinstance(store, S3Store):
                store.check(writable=False)
            features = set(self._table().protocol().reader_features or ())
        except (StoreError, JobError, UserError) as error:
            raise UserError(f"--source: {str(error).removeprefix('--source: ')}") from None
        if features & _NOT_READ:
            raise UserError(f"--source: {self.uri}: a table with {', '.join(features & _NOT_READ)} cannot be followed")

    def reads(self) -> frozenset[str]:
        """The table, by its id."""
        return frozenset((f"table {self._table().metadata().id}",))

    def columns(self, most: int) -> Iterator[tuple[str, list[str]]]:
        """Of the table."""
        del most
        yield self.uri, [column.name for column in self._table().schema().fields]

    def reader(self) -> "DeltaReader":
        """The worker's side."""
        return DeltaReader(self._address, kinds_of(self._table().schema()))

    def plan(self, positions: Mapping[str, Any], max_rows: int, tops: Mapping[int, int], *, whole: bool) -> Backlog:
        """The next rows, version by version, file by file."""
        del tops, whole  # one partition, and what is committed is complete
        table = self._table()
        at = self._cursor(table, positions)
        splits: list[Split] = []
        begun = 0
        for cursor, files in self._versions(table, at):
            at = cursor
            while at.file < len(files):
                rows = self._rows(files[at.file])
                if max_rows <= 0 or begun >= self.max_files:
                    return self._backlog(splits, positions, at, sum(max(file.rows, 1) for file in files[at.file :]))
                end = min(rows, at.row + max_rows)
                splits += self._splits(files[at.file], at.row, end)
                begun, max_rows = begun + 1, max_rows - (end - at.row)
                done = end == rows
                at = Cursor(at.table, at.version, at.base, at.file + done, 0 if done else end)
        return self._backlog(splits, positions, at, 0)

    def _backlog(self, splits: list[Split], positions: Mapping[str, Any], at: Cursor, left: int) -> Backlog:
        changed = {TABLE: at.__dict__} if positions.get(TABLE) != at.__dict__ else {}
        return Backlog(splits, changed, frozenset({0} if not left else ()), frozenset({0}), left)

    def _cursor(self, table: DeltaTable, positions: Mapping[str, Any]) -> Cursor:
        identity = str(table.metadata().id)
        if TABLE not in positions:
            return Cursor(identity, table.version(), base=True)
        known = Cursor(**positions[TABLE])
        if known.table != identity or known.version > table.version():
            raise JobError(
                f"--source: {self.uri} was made again, or set back, after it was read; start a new checkpoint"
            )
        return known

    def _versions(self, table: DeltaTable, at: Cursor) -> Iterator[tuple[Cursor, list[Added]]]:
        """From the cursor on, each version with its files."""
        store = open_store(self.uri, self.endpoint)
        if at.base:
            yield at, snapshot(DeltaTable(self.uri, version=at.version, storage_options=self._options))
        else:
            yield at, added_by(store, at.version, self.uri)
        for version in range(at.version + 1, table.version() + 1):
            yield Cursor(at.table, version), added_by(store, version, self.uri)

    def _rows(self, file: Added) -> int:
        if file.rows >= 0:
            return file.rows
        found: int = self._scan(file.path).select(pl.len()).collect().item()
        return found

    def _scan(self, path: str) -> pl.LazyFrame:
        return pl.scan_parquet(f"{self.uri}/{path}", glob=False, storage_options=self._address)

    def _splits(self, file: Added, start: int, end: int) -> list[Split]:
        uri, most = f"{self.uri}/{file.path}", _SPLIT_ROWS
        return [
            Split(self.index, 0, uri, at, min(at + most, end), min(most, end - at), values=file.values)
            for at in range(start, end, most)
        ]

    def _table(self) -> DeltaTable:
        try:
            return DeltaTable(self.uri, storage_options=self._options)
        except TableNotFoundError:
            raise JobError(f"--source: {self.uri}: there is no Delta table") from None
        except (DeltaError, OSError) as error:
            raise JobError(f"--source: {self.uri}: {' '.join(str(error).split())[:200]}") from error

    @property
    def _address(self) -> dict[str, str] | None:
        return address_options(self.endpoint) if self.uri.startswith("s3://") else None

    @property
    def _options(self) -> dict[str, str] | None:
        return storage_options(self.uri, self.endpoint)


@dataclass(frozen=True)
class DeltaReader:
    """Reads rows of a data file, with the columns by which the table is partitioned.

    Attributes:
        options: of the bucket.
        kinds: type of each column.
    """

    options: dict[str, str] | None
    kinds: Mapping[str, str]

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """The rows with their position; JobError when the file is gone, by a vacuum for instance."""
        rows = read_rows(split.uri, split.start, split.end, self.options)
        rows = rows.with_columns(**columns(split.values, self.kinds))
        yield positioned(rows, split, pl.int_range(split.start, split.start + rows.height, eager=True))
