"""The tables of a lake, in a directory or a bucket, by name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from ecompulse.epochs.errors import UserError
from ecompulse.io.s3 import S3Store, StoreError, open_s3, storage_options
from ecompulse.kernels.config import nearest

_UNNAMED: Final = re.compile(r"[\[\]\\\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
"""What deltalake takes for something else in a path, though the file system does not."""


def check_place(place: str) -> None:
    """UserError for a place below which deltalake would not find what it has written."""
    if _UNNAMED.search(place):
        raise UserError(
            f"{place!r}: Delta tables cannot be below a path with a square bracket, a backslash, a control character "
            "or % before two hex digits; choose another place"
        )


@dataclass(frozen=True)
class Lake:
    """Where tables are.

    Attributes:
        root: directory, or `s3://bucket/prefix`.
        endpoint: URL of an S3 server other than AWS.
    """

    root: str
    endpoint: str | None = None

    def __post_init__(self) -> None:
        check_place(self.root)

    def names(self) -> list[str]:
        """Of all tables, sorted; UserError when a bucket cannot be listed."""
        if not self.root.startswith("s3://"):
            return sorted(log.parent.name for log in Path(self.root).glob("*/_delta_log"))
        return [name for name in self._folders() if self.holds(name)]

    def holds(self, name: str) -> bool:
        """Whether there is a table of that name."""
        return bool(DeltaTable.is_deltatable(self._uri(name), self._options))

    def table(self, name: str) -> DeltaTable:
        """A table; UserError when there is none of that name."""
        try:
            return DeltaTable(self._uri(name), storage_options=self._options)
        except TableNotFoundError:
            names = self.names()
            if not names:
                raise UserError(f"{name}: {self.root} holds no Delta table") from None
            raise UserError(f"{name}: no such table in {self.root}{nearest(name, names)}") from None
        except OSError:
            self._folders()  # says in one line what is wrong with the bucket, if it is that
            raise

    def _folders(self) -> list[str]:
        store: S3Store = open_s3(self.root, self.endpoint)
        try:
            return store.folders()
        except StoreError as error:
            raise UserError(f"--lake: {error}") from None

    @property
    def _options(self) -> dict[str, str] | None:
        return storage_options(self.root, self.endpoint)

    def _uri(self, name: str) -> str:
        return f"{self.root}/{name}"
