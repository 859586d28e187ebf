"""Whether the columns of the input are those that the mapping names, before any row is read by it."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Source
from ecompulse.io.terminal import say
from ecompulse.kernels.config import nearest
from ecompulse.kernels.foreign.paths import parse_path
from ecompulse.kernels.foreign.shape import FieldSource, Shape, paths_of
from ecompulse.kernels.foreign.values import From
from ecompulse.kernels.mapping import EVENT, Mapping

FILES: Final = 100
"""So many files of a source are looked at."""

REQUIRED: Final = (("event_id",), ("event_type",), ("event_time",), ("user_id", "anonymous_id"))
"""Fields of which one each must be there."""


def check_columns(source: Source, mapping: Mapping | None, flag: str) -> None:
    """UserError when the first file of a source lacks columns that it must have; a line on stderr for further ones.

    One odd file among many must not stop the others: its rows are dead letters.
    """
    for number, (name, columns) in enumerate(islice(source.columns(FILES), FILES)):
        lacking = lack(columns, mapping or EVENT)
        if lacking and not number:
            raise UserError(f"--{flag}: {name}: {lacking}")
        if lacking:
            say(f"--{flag}: {name}: {lacking}; its rows will be dead letters")


def lack(columns: Sequence[str], mapping: Mapping) -> str | None:
    """What columns lack that the mapping names or an event must have, in words; None when all is there."""
    for shape in mapping.shapes:
        for field, source in shape.fields.items() if _applies(shape, columns) else ():
            [column, *others] = map(begins, paths_of(source))
            if not (others or column in columns or paths_of(source)[0] in columns or _has_default(source)):
                return f"has no column {column!r}, which --mapping names for {field}{nearest(column, columns)}"
    for fields in REQUIRED:
        if not any(_is_fed(field, mapping, columns) for field in fields):
            there = ", ".join(columns)
            return f"has no column for {' or '.join(fields)}, which an event must have; see --mapping. It has {there}"
    return None


def _applies(shape: Shape, columns: Sequence[str]) -> bool:
    """Whether rows with these columns may be of a shape: not so where it looks at one that they do not have."""
    when = shape.when if isinstance(shape.when, tuple) else ()
    return all(begins(path) in columns or path in columns or None in wanted for path, wanted in when)


def _has_default(source: FieldSource) -> bool:
    return isinstance(source, From) and source.default is not None


def begins(path: str) -> str:
    """The column in which a path begins."""
    return parse_path(path)[0].name


def _is_fed(field: str, mapping: Mapping, columns: Sequence[str]) -> bool:
    if field == "event_id" and mapping.event_id == "hash":
        return True

    def fed(shape: Shape) -> bool:
        source = shape.fields.get(field, field)
        named = any(begins(path) in columns or path in columns for path in paths_of(source))
        return field in shape.constants or named or _has_default(source)

    return all(fed(shape) for shape in mapping.shapes if _applies(shape, columns))
