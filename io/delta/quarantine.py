"""Data files of a table that are missing or damaged: set aside until they change, each a dead letter."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ecompulse.epochs.protocols import Store
from ecompulse.io.delta.log import NO_STATS, Added
from ecompulse.io.files.parquet import UNREADABLE, count_rows, one_line, read_rows
from ecompulse.io.files.quarantine import BAD
from ecompulse.io.files.streams import UnreadableFile
from ecompulse.io.s3 import S3Store


@dataclass(frozen=True)
class DataFiles:
    """The data files of a table, in a directory or a bucket.

    Attributes:
        store: of the table.
    """

    store: Store

    def uri(self, file: Added) -> str:
        """Where a file is."""
        return f"{self.store.root}/{file.path}"

    def count(self, file: Added, *, thoroughly: bool) -> int:
        """Its rows; UnreadableFile when it is missing or damaged, or holds other rows than the log says.

        In a directory its footer is always read, in a bucket only when the log does not count, or `thoroughly`, which
        also reads all rows.
        """
        if isinstance(self.store, S3Store):
            found = self._read(file) if thoroughly or file.rows == NO_STATS else file.rows
        else:
            path = self.uri(file)
            found = count_rows(path) if Path(path).exists() else self._missing(path)
            if thoroughly:
                read_rows(path, 0, found)
        if found != file.rows != NO_STATS:
            raise UnreadableFile(f"{self.uri(file)}: holds {found} rows, and the table's log says {file.rows}")
        return found

    def mark(self, file: Added, at: int, why: str) -> dict[str, Any]:
        """What to remember of a file that could not be read beyond row `at`."""
        return {**progress(file, at), BAD: [*self.look(file), why]}

    def look(self, file: Added) -> list[int | str]:
        """What is another when a file has been put back or replaced."""
        if isinstance(self.store, S3Store):
            return [self.store.stamp(file.path)]
        path = Path(self.uri(file))
        try:
            found = path.stat()
        except OSError:
            return [0, 0, 0]
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]

    def _read(self, file: Added) -> int:
        """Rows of a file in a bucket; a service that does not answer is no damage, but a StoreError."""
        try:
            return pl.read_parquet(io.BytesIO(self.store.get(file.path))).height
        except FileNotFoundError:
            return self._missing(self.uri(file))
        except UNREADABLE as error:
            raise UnreadableFile(f"{self.uri(file)}: cannot be read: {one_line(error)}") from None

    @staticmethod
    def _missing(uri: str) -> int:
        raise UnreadableFile(f"{uri}: is missing")


def progress(file: Added, at: int) -> dict[str, Any]:
    """What is remembered of a file that is read by itself: what the log says of it, and the next row."""
    return {"at": at, "rows": file.rows, "values": dict(file.values)}


def pending(positions: Mapping[str, Any], files: DataFiles) -> list[tuple[Added, Mapping[str, Any]]]:
    """Files that were set aside and have changed, or of which a part has been read since, and what is known of each."""
    found = []
    for path, known in positions.items():
        if "values" in known and known["at"] != known["rows"]:
            file = Added(path, known["rows"], known["values"])
            if BAD not in known or known[BAD][:-1] != files.look(file):
                found.append((file, known))
    return found
