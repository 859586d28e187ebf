"""A Delta table that is appended to, as a source: one partition, an offset is (version, file, row)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import EVENTS, UNREADABLE, Backlog, Split
from ecompulse.io.delta.lake import check_place
from ecompulse.io.delta.log import Added, added_by, is_mapped, log_is_gone, snapshot
from ecompulse.io.delta.partitions import columns, kinds_of
from ecompulse.io.delta.quarantine import DataFiles, pending, progress
from ecompulse.io.files.parquet import read_rows
from ecompulse.io.files.quarantine import BAD, letter_of, letter_row, set_aside
from ecompulse.io.files.reader import positioned
from ecompulse.io.files.streams import UnreadableFile
from ecompulse.io.s3 import S3Store, StoreError, address_options, storage_options
from ecompulse.io.stores import open_store

TABLE: Final = "table"
"""Name of the one position."""

_SPLIT_ROWS: Final = 50_000
_MAPPED: Final = "columnMapping"
_NOT_READ: Final = {"deletionVectors", _MAPPED}
"""Features of tables whose files do not hold the rows, or the columns, as they are."""


def is_table(uri: str) -> bool:
    """Whether a `--source` is a Delta table: in a bucket nothing else is read."""
    return uri.startswith("s3://") or (Path(uri) / "_delta_log").is_dir()


@dataclass(frozen=True)
class Cursor:
    """Where reading goes on: of a version that is read whole nothing is asked again, since its log may be cleaned up.

    Attributes:
        table: id of the table.
        version: that the files are of; it need not be there yet.
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
        on_bad_file: `quarantine` sets a data file aside that is missing or damaged, with a dead letter, until it
            changes; `stop` raises.
    """

    uri: str
    index: int
    max_files: int = 1000
    role: str = EVENTS
    endpoint: str | None = None
    on_bad_file: str = "quarantine"
    _tried: Any = None  # positions of the last plan with rows: a second one from there means that the run has failed

    def check(self) -> None:
        """Raise UserError when there is no table, or none that can be read file by file."""
        store = open_store(self.uri, self.endpoint)
        try:
            check_place(self.uri)
            if isinstance(store, S3Store):
                store.check(writable=False)
            table = self._table()
            features = {*(table.protocol().reader_features or ()), *({_MAPPED} if is_mapped(table) else ())}
        except (StoreError, JobError, UserError) as error:
            raise UserError(f"--source: {str(error).removeprefix('--source: ')}") from None
        if features & _NOT_READ:
            raise self._other_files(*sorted(features & _NOT_READ))

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
        if is_mapped(table):
            raise self._other_files(_MAPPED)
        at = self._cursor(table, positions)
        taking = _Taking(self, max_rows, thoroughly=self._tried == positions)
        for file, known in pending(positions, taking.files):
            if not taking.full:
                row = taking.take(file, int(known["at"]), again=BAD in known)
                taking.marks.setdefault(file.path, {**progress(file, row), "rows": taking.rows})
        for cursor, files in self._versions(table, at):
            at = cursor
            while at.file < len(files):
                if taking.full:
                    left = max(sum(max(file.rows, 1) for file in files[at.file :]) - at.row, 1)
                    return self._backlog(taking, positions, at, left)
                row = taking.take(files[at.file], at.row)
                done = row == taking.rows
                at = Cursor(at.table, at.version, at.base, at.file + done, 0 if done else row)
            at = Cursor(at.table, at.version + 1)
        return self._backlog(taking, positions, at, 0)

    def _backlog(self, taking: "_Taking", positions: Mapping[str, Any], at: Cursor, left: int) -> Backlog:
        now = {TABLE: at.__dict__, **taking.marks}
        changed = {name: mark for name, mark in now.items() if positions.get(name) != mark}
        self._tried = dict(positions) if taking.splits else None
        aside = set_aside({**positions, **changed})
        notes = {UNREADABLE: {f"{self.uri}/{path}": why for path, why in aside.items()}} if aside else {}
        return Backlog(taking.splits, changed, frozenset({0} if not left else ()), frozenset({0}), left, notes)

    def _cursor(self, table: DeltaTable, positions: Mapping[str, Any]) -> Cursor:
        identity = str(table.metadata().id)
        if TABLE not in positions:
            return Cursor(identity, table.version(), base=True)
        known = Cursor(**positions[TABLE])
        if known.table != identity or known.version > table.version() + 1:
            raise UserError(
                f"--source: {self.uri} was made again, or set back, after it was read; start a new checkpoint"
            )
        return known

    def _versions(self, table: DeltaTable, at: Cursor) -> Iterator[tuple[Cursor, list[Added]]]:
        """From the cursor on, each version with its files."""
        store, first = open_store(self.uri, self.endpoint), at.version
        if at.base:
            yield at, snapshot(self._table(at.version))
            first += 1
        for version in range(first, table.version() + 1):
            yield at if version == at.version else Cursor(at.table, version), added_by(store, version, self.uri)

    def _table(self, version: int | None = None) -> DeltaTable:
        """As it stands, or stood; JobError when there is none, UserError when its log does not say any more."""
        try:
            return DeltaTable(self.uri, version=version, storage_options=self._options)
        except TableNotFoundError:
            if version is not None:
                raise log_is_gone(version, self.uri) from None
            raise JobError(f"--source: {self.uri}: there is no Delta table") from None
        except (DeltaError, OSError) as error:
            then = "" if version is None else f" as of version {version}"
            raise JobError(f"--source: {self.uri}{then}: {' '.join(str(error).split())[:200]}") from error

    def _other_files(self, *features: str) -> UserError:
        return UserError(f"--source: {self.uri}: a table with {', '.join(features)} cannot be followed")

    @property
    def _address(self) -> dict[str, str] | None:
        return address_options(self.endpoint) if self.uri.startswith("s3://") else None

    @property
    def _options(self) -> dict[str, str] | None:
        return storage_options(self.uri, self.endpoint)


class _Taking:
    """What one plan takes.

    Attributes:
        splits: so far.
        marks: what is to be remembered of files that are not read as their version's turn comes.
        rows: of the file that was taken from last.
    """

    def __init__(self, source: DeltaSource, max_rows: int, *, thoroughly: bool) -> None:
        self.splits: list[Split] = []
        self.marks: dict[str, Any] = {}
        self.rows = 0
        self.files = DataFiles(open_store(source.uri, source.endpoint))
        self._source, self._max_rows, self._thoroughly, self._begun = source, max_rows, thoroughly, 0

    @property
    def full(self) -> bool:
        """Whether no more goes into the epoch."""
        return self._max_rows <= 0 or self._begun >= self._source.max_files

    def take(self, file: Added, start: int, *, again: bool = False) -> int:
        """Add rows of a file from `start`; the next row, which is `rows` when nothing more is to be had of it now.

        `again`: it has a dead letter already.
        """
        try:
            self.rows = self.files.count(file, thoroughly=self._thoroughly)
        except UnreadableFile as error:
            if self._source.on_bad_file == "stop":
                raise
            why = str(error).removeprefix(f"{self.files.uri(file)}: ")
            if not again:
                self.splits.append(letter_of(self._source.index, self.files.uri(file), start, why))
                self._max_rows -= 1
                self._begun += 1
            self.marks[file.path], self.rows = self.files.mark(file, start, why), start
            return start
        end = min(self.rows, start + self._max_rows)
        self.splits += [
            Split(self._source.index, 0, self.files.uri(file), at, min(at + _SPLIT_ROWS, end),
                  min(_SPLIT_ROWS, end - at), values=file.values)
            for at in range(start, end, _SPLIT_ROWS)
        ]  # fmt: skip
        self._max_rows -= end - start
        self._begun += end > start  # a file without rows is no reason to stop
        return end


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
        """The rows with their position; JobError when the file is gone, by a vacuum for instance.

        A range that stands for a file that cannot be read gives one row (`letter_row`).
        """
        if split.fault:
            yield positioned(letter_row(split), split, pl.Series([split.start]))
            return
        rows = read_rows(split.uri, split.start, split.end, self.options)
        rows = rows.with_columns(**columns(split.values, self.kinds))
        yield positioned(rows, split, pl.int_range(split.start, split.start + rows.height, eager=True))
