"""The fields of one event: of several paths the first that has a value, or all of them joined; and what is left."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from ecompulse.kernels.decode.batch import all_of, nothing
from ecompulse.kernels.decode.cells import Cell, Cells
from ecompulse.kernels.decode.nested import exact
from ecompulse.kernels.decode.nested.wanted import Wanted
from ecompulse.kernels.decode.object_members import members_of
from ecompulse.kernels.decode.row_decoder import Record
from ecompulse.kernels.decode.strict_json import literal

_DIGITS: Final = r"^-?[0-9]{1,15}$"


def combined(
    cells: dict[str, Cells], paths: Sequence[Sequence[str]], join: str | None, nulls: Sequence[str]
) -> tuple[Cells | None, pl.Series | None]:
    """The cells of a field, and where they may not be believed."""
    there = [[cells[target] for target in targets if target in cells] for targets in paths]
    found = [_first(options, empty=True) for options in there if options]
    if nulls and len(paths) > 1:
        found = [_without(part, nulls) for part in found]
    if join is not None:
        return _joined(found, join) if len(found) == len(paths) else (None, None)
    if not found:
        return None, None
    return _first(found, empty=len(paths) == 1), None


def _first(options: list[Cells], *, empty: bool) -> Cells:
    """The first cells that are there; with `empty` an empty text is."""
    if len(options) == 1 and empty:
        return options[0]
    names = [(f"t{number}", f"q{number}") for number in range(len(options))]
    frame = pl.DataFrame(
        {
            name: column
            for pair, cells in zip(names, options, strict=True)
            for name, column in zip(pair, cells, strict=True)
        }
    )
    text, quoted = pl.lit(None, pl.String), pl.lit(value=False)
    for t, q in reversed(names):
        there = pl.col(t).is_not_null() if empty else pl.col(t) != ""
        text = pl.when(there).then(t).otherwise(text)
        quoted = pl.when(there).then(q).otherwise(quoted)
    made = frame.select(text=text, quoted=quoted)
    return Cells(made["text"], made["quoted"])


def _without(cells: Cells, nulls: Sequence[str]) -> Cells:
    """Cells of which those are absent that hold a text that stands for nothing."""
    there = ~(cells.quoted & cells.text.is_in(list(nulls))).fill_null(value=False)
    return Cells(cells.text.zip_with(there, nothing(cells.text.len())), cells.quoted)


def _joined(parts: list[Cells], join: str) -> tuple[Cells, pl.Series]:
    frame = pl.DataFrame({f"t{number}": cells.text for number, cells in enumerate(parts)})
    text = frame.select(pl.concat_str(pl.all(), separator=join)).to_series()
    doubtful = all_of(value=False, height=text.len())
    for cells in parts:
        doubtful |= ~(cells.quoted | cells.text.str.contains(_DIGITS)).fill_null(value=True)
    return Cells(text, all_of(value=True, height=text.len())), doubtful


def apart(
    left: dict[str, pl.Series], bag: pl.Series | None, height: int
) -> tuple[dict[str, pl.Series], pl.Series | None]:
    """Unknown fields that are called as one of `properties` is get another name there."""
    if bag is None or not left:
        return left, bag
    inner = members_of(bag.to_frame("b").select(pl.when(pl.col("b") != "{}").then("b")).to_series(), keep_null=True)
    found = dict(left)
    for key in left.keys() & inner.columns.keys():
        both = inner.columns[key].is_not_null() & left[key].is_not_null()
        if both.any():
            other = renamed(key)
            empty = nothing(height)
            moved = left[key].zip_with(both, empty)
            found[key] = left[key].zip_with(~both, empty)
            found[other] = moved if other not in found else found[other].zip_with(~both, moved)
    return found, bag


def renamed(key: str) -> str:
    """What an unknown field is called where `properties` has one of its name."""
    return f"{key}_2"


def record_of_line(wanted: Wanted, values: dict[str, Any], places: Sequence[int], content: Any, row: int) -> Record:
    """One event exactly, of a parsed row."""
    taken = exact.Taken()
    rest = exact.take(wanted.tree, values, places, taken) or {}
    if not isinstance(rest, dict):
        rest = {}
    named = zip(reversed(wanted.list_names), taken.lines, strict=False)
    unknown = {**rest, **{name: line for name, line in named if line is not None}} if wanted.keeps_rest else {}
    for key in (taken.bag or {}).keys() & unknown.keys():
        unknown[renamed(key)] = unknown.pop(key)
    cells = dict(wanted.plan.constants)
    for name, targets in wanted.targets.items():
        cell = _cell(taken.values, targets, wanted.joins(name), wanted.nulls)
        if cell is not None:
            cells[name] = cell
    return Record(cells, unknown, taken.bag, "" if content is None else content[row])


def _cell(
    values: dict[str, Any], paths: Sequence[Sequence[str]], join: str | None, nulls: Sequence[str]
) -> Cell | None:
    found = [next((values[target] for target in targets if target in values), None) for targets in paths]
    several = len(paths) > 1
    if several:
        found = [None if isinstance(value, str) and value in nulls else value for value in found]
    if join is not None:
        texts = [_text(value) for value in found if value is not None]
        return Cell(join.join(texts), quoted=True) if len(texts) == len(paths) else None
    value = next((value for value in found if value is not None and not (several and value == "")), None)
    if value is None:
        return None
    return Cell(value, quoted=True) if isinstance(value, str) else Cell(literal(value), quoted=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else literal(value)
