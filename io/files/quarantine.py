"""Files that cannot be read, damaged or still being uploaded: set aside until they change, each a dead letter."""

import json
import os
from collections.abc import Collection, Mapping
from typing import Any, Final

import polars as pl

from ecompulse.epochs.protocols import Split
from ecompulse.io.files.identity import identity, is_same
from ecompulse.io.files.listing import Listed
from ecompulse.io.files.streams import UnreadableFile

BAD: Final = "bad"
"""Key of what is remembered of a file that could not be read: how it looked then, and why."""


def bad_mark(file: Listed, at: int, why: str) -> dict[str, Any]:
    """What to remember of a file that could not be read beyond `at`."""
    begun = identity(file, file.size) if at else {}  # of one that gave nothing any other may take the place
    return {"at": at, "size": -1, **begun, BAD: [*_look(file), why]}


def is_set_aside(file: Listed, known: Mapping[str, Any]) -> bool:
    """Whether a file could not be read, and has not changed since."""
    return BAD in known and known[BAD][:-1] == _look(file)


def set_aside(positions: Mapping[str, Any], there: Collection[str] | None = None) -> dict[str, str]:
    """Why files are not read, by path; of those that are `there`, if that is said. Other sources may keep anything."""
    marked = ((path, known) for path, known in positions.items() if isinstance(known, Mapping) and BAD in known)
    bad = {path: str(known[BAD][-1]) for path, known in marked}
    return bad if there is None else {path: why for path, why in bad.items() if path in there}


def check_continued(file: Listed, known: Mapping[str, Any]) -> None:
    """UnreadableFile when a file that was set aside is another one now than that of which rows were read."""
    if BAD in known and known["at"] and not is_same(file, known):
        raise UnreadableFile(f"{file.path}: is another file than the one that was begun; give it a new name")


def letter_of(index: int, path: str, at: int, why: str) -> Split:
    """The range that stands for a dead letter of a file."""
    return Split(index, 0, path, at, at, 1, fault=why.removeprefix(f"{path}: "))


def letter_row(split: Split) -> pl.DataFrame:
    """The one row of such a range: `raw` names the file, `fault` says what is wrong."""
    raw = json.dumps({"file": split.uri, "read": split.start}).encode()
    return pl.DataFrame({"raw": [raw], "fault": [split.fault]})


def _look(file: Listed) -> list[int]:
    try:
        changed = os.stat(file.path).st_ctime_ns  # noqa: PTH116  # a new mode changes no other time
    except OSError:
        changed = 0
    return [file.size, file.mtime, changed]
