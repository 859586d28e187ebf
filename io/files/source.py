"""Files as a source: one partition, its files in order, an offset is (file, position)."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import EVENTS, UNREADABLE, WAITING, Backlog, Split
from ecompulse.io.files import parquet
from ecompulse.io.files.identity import MOVED, identity, is_same, renamed
from ecompulse.io.files.kinds import is_closed, kind_of
from ecompulse.io.files.layout import head_of
from ecompulse.io.files.listing import Listed, list_files
from ecompulse.io.files.parquet import UNREADABLE as DAMAGED
from ecompulse.io.files.parquet import count_rows, read_rows
from ecompulse.io.files.quarantine import BAD, bad_mark, check_continued, is_set_aside, letter_of, set_aside
from ecompulse.io.files.read_ahead import READ_AHEAD
from ecompulse.io.files.reader import FileReader
from ecompulse.io.files.records import scan
from ecompulse.io.files.remaining import ROW_BYTES, Remaining
from ecompulse.io.files.streams import OpenFile, UnreadableFile
from ecompulse.kernels.decode.csv_rows import column_names
from ecompulse.kernels.foreign.dialect import PLAIN, Dialect

DOCUMENT: Final = "document"
"""Key of what is remembered of a JSON document, which cannot grow."""
HEADER: Final = "header"
"""Key of the header of rows of CSV, where more than the file's name says how they are written."""
_UNKNOWN: Final[Mapping[str, Any]] = {"at": 0, "size": -1}


@dataclass
class FileSource:
    """A path, folder or glob of files.

    What is remembered of a file is `{"at": position, "size": bytes}`: decompressed bytes read so far (rows, for
    Parquet), and its size when it was last looked at and all that is complete was taken, else -1; and what tells
    whether it is still the same (`identity`). Plain text files may grow; compressed and Parquet files must be complete
    when they appear.

    Attributes:
        uri: as given.
        index: number of the `--source`.
        order: `name` or `mtime`.
        max_files: files begun per epoch at the most.
        role: see `Source`.
        on_bad_file: `quarantine` sets a file aside that cannot be read, with a dead letter, until it changes; `stop`
            raises.
        dialect: how text files are written.
    """

    uri: str
    index: int
    order: str = "name"
    max_files: int = 1000
    role: str = EVENTS
    on_bad_file: str = "quarantine"
    dialect: Dialect = PLAIN
    _tried: dict[str, tuple[int, int]] = field(default_factory=dict)  # ranges of rows planned last, by file
    _aside: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # files set aside since the last epoch
    _open: dict[tuple[str, str], OpenFile] = field(default_factory=dict)
    _row_bytes: float = ROW_BYTES

    def _files(self) -> list[Listed]:
        return list_files(self.uri, self.order, self.dialect)

    def _is_closed(self, path: str, known: Mapping[str, Any] = _UNKNOWN) -> bool:
        return is_closed(path, self.dialect, document=DOCUMENT in known)

    def first_file(self) -> str | None:
        """The file that is read first; None where there is none yet."""
        return next((file.path for file in self._files()), None)

    def check(self) -> None:
        """Raise UserError when nothing is there to read."""
        if not self._files() and not Path(self.uri).is_dir():
            raise UserError(f"--source: {self.uri}: no such file, and no file matches it")

    def reads(self) -> frozenset[str]:
        """Files, by their real paths."""
        return frozenset(os.path.realpath(file.path) for file in self._files())

    def columns(self, most: int) -> Iterator[tuple[str, list[str]]]:
        """Of CSV and Parquet files, in their order; of a CSV file that has no complete header yet, nothing."""
        for file in self._files()[:most]:
            found = columns_of(file.path, self.dialect)
            if found:
                yield file.path, found

    def reader(self) -> FileReader:
        """The worker's side."""
        return FileReader(self.dialect)

    def plan(self, positions: Mapping[str, Any], max_rows: int, tops: Mapping[int, int], *, whole: bool) -> Backlog:
        """The next complete records, file by file; JobError when a file vanished unread, or is another one now."""
        del tops  # one partition: nothing to weigh
        files = self._files()
        remembered, changed = self._remembered(files, positions)
        splits: list[Split] = []
        begun, remaining = 0, Remaining(self._row_bytes)
        READ_AHEAD.forget(self.uri)
        for file in files:
            known = remembered.get(file.path, _UNKNOWN)
            if is_set_aside(file, known) or (BAD in known and is_set_aside(file, self._aside.get(file.path, {}))):
                continue
            if file.size == known["size"] and (
                not whole or known.get("whole", False) or self._is_closed(file.path, known)
            ):
                continue
            if max_rows <= 0 or begun >= self.max_files:
                remaining.leave(file.size - known["at"])
                continue
            taken: list[Split] = []
            try:
                check_continued(file, known)
                at, stored, complete, said = self._take(file, known["at"], max_rows, taken, whole=whole)
            except UnreadableFile as error:
                if self.on_bad_file == "stop":
                    raise
                begun += 1
                at = taken[-1].end if taken else known["at"]
                why = str(error).removeprefix(f"{file.path}: ")
                changed[file.path] = self._aside[file.path] = bad_mark(file, at, why)
                splits += taken if BAD in known else [*taken, letter_of(self.index, file.path, at, why)]
                max_rows -= sum(split.rows for split in taken) + 1
                continue
            begun += bool(taken)  # of files without rows there may be any number: an epoch of nothing would be the last
            rows = sum(split.rows for split in taken)
            max_rows -= rows
            splits += taken
            size = file.size if complete else known["size"]
            remaining.read(stored * (at - known["at"]) / max(at, 1), rows)
            if not complete:
                remaining.leave(file.size - stored)
            closed = self._is_closed(file.path, said)
            mark = {"at": at, "size": size, **said, **identity(file, file.size if closed else at)}
            changed[file.path] = {**mark, **({"whole": True} if whole and complete else {})}
        changed = {path: mark for path, mark in changed.items() if positions.get(path) != mark}
        left, self._row_bytes = remaining.rows, remaining.row_bytes
        ended = frozenset({0} if not left else ())
        read = {split.uri for split in splits}
        written = max((round(file.modified * 1000) for file in files if file.path in read), default=None)
        now, there = {**positions, **changed}, {file.path for file in files}
        notes = {
            name: said for name, said in ((WAITING, self._waiting(now)), (UNREADABLE, set_aside(now, there))) if said
        }
        return Backlog(splits, changed, ended, frozenset({0}), left, notes, written=written)

    def _take(
        self, file: Listed, at: int, max_rows: int, taken: list[Split], *, whole: bool
    ) -> tuple[int, float, bool, dict[str, Any]]:
        """Add ranges of one file; UnreadableFile, with what is good before added, when the file is damaged there.

        Returns the position after them, how many bytes of the file as it is stored lead there, whether all that is
        complete was taken, and what is to be known.
        """
        if os.fsencode(file.path).decode(errors="replace") != file.path:
            raise UnreadableFile(f"{file.path}: its name is not UTF-8; give it another")
        if self._is_closed(file.path) and not file.size:
            raise UnreadableFile(f"{file.path}: is empty")
        if kind_of(file.path, self.dialect) == "parquet":
            return (*self._take_rows(file, at, max_rows, taken), {})
        lines = 0
        whole = whole or self._is_closed(file.path)
        head = head_of(file.path, whole=whole, dialect=self.dialect)
        if not head.ready:
            return 0, 0, True, {}
        said: dict[str, Any] = {HEADER: head.header} if head.header and self.dialect != PLAIN else {}
        if head.rows is not None:
            said, whole = {**said, DOCUMENT: True}, True
        at = at or head.start
        handle = self._open.pop((file.path, file.inode), None)
        handle = handle or OpenFile(file.path, self.dialect.encoding, head.rows)
        for found in scan(handle, at, max_rows, head.layout, whole=whole):
            if found.rows or found.blank:
                taken.append(Split(self.index, 0, file.path, found.start, found.end, found.rows))
            if found.read and handle.decodes:
                READ_AHEAD.keep(self.uri, (file.path, self.dialect), found.start, found.read)
            at, lines = found.end, lines + found.rows + found.blank
        complete = lines < max_rows or not handle.read(at, 1)
        stored = handle.stored(at)
        if complete:
            handle.close()
        else:
            self._open[file.path, file.inode] = handle  # a decoder goes on where it stopped
        return at, stored, complete, said

    def _take_rows(self, file: Listed, at: int, max_rows: int, taken: list[Split]) -> tuple[int, float, bool]:
        total = count_rows(file.path)
        end = min(total, at + max_rows)
        again = self._tried.get(file.path) == (file.mtime, at)  # the run has failed: perhaps by this file
        self._tried[file.path] = file.mtime, at
        step = 50_000  # rows a worker reads at a time
        for start in range(at, end, step):
            stop = min(start + step, end)
            if again:
                read_rows(file.path, start, stop)
            taken.append(Split(self.index, 0, file.path, start, stop, stop - start))
        return end, file.size * end / max(total, 1), end == total

    def _remembered(
        self, files: list[Listed], positions: Mapping[str, Any]
    ) -> tuple[dict[str, Mapping[str, Any]], dict[str, Any]]:
        """What is known of each file, by the name that it has now, and what changes by that."""
        moved = renamed(files, positions)
        changed: dict[str, Any] = {former: {**positions[former], MOVED: path} for path, former in moved.items()}
        changed |= {path: positions[former] for path, former in moved.items()}
        remembered = {path: known for path, known in {**positions, **changed}.items() if MOVED not in known}
        listed = {file.path: file for file in files}
        for path, known in remembered.items():
            if BAD in known:
                continue
            if path in listed:
                self._check_same(listed[path], known)
            elif known["size"] < 0 or str(Path(self.uri).absolute()) == path:
                raise JobError(f"--source: {path} vanished before it was read to its end")
        return remembered, changed

    def _waiting(self, positions: Mapping[str, Any]) -> dict[str, int]:
        """Bytes, by file, at the end of files that are no complete row yet."""
        return {
            path: known["size"] - known["at"]
            for path, known in positions.items()
            if known["size"] > known["at"]
            and MOVED not in known
            and not known.get("whole")
            and not self._is_closed(path, known)
        }

    def _check_same(self, file: Listed, known: Mapping[str, Any]) -> None:
        """JobError when a file is not the one that was begun."""
        path, closed = file.path, self._is_closed(file.path, known)
        if not closed and file.size < max(known["size"], known["at"]):
            was = max(known["size"], known["at"])
            raise JobError(f"--source: {path} shrank from {was} to {file.size} bytes; a file may only grow")
        if (closed and file.size != known["size"] >= 0) or not is_same(file, known):
            raise JobError(
                f"--source: {path} changed after it was {'read' if known['size'] >= 0 else 'begun'}: it does not begin "
                "as it did; give new data a new file name"
            )


def columns_of(path: str, dialect: Dialect = PLAIN) -> list[str]:
    """Columns of a file; none where rows name their fields themselves, or nothing is there yet."""
    try:
        kind = kind_of(path, dialect)
        if kind == "parquet":
            return parquet.column_names(path)
        head = head_of(path, whole=False, dialect=dialect) if kind == "csv" else None
        return column_names(head.header) if head and head.ready else []
    except (*DAMAGED, JobError, UnicodeEncodeError):  # whatever is wrong is said when it is read
        return []
