"""One shape of a batch: its events as flat rows, each a line of the row that it came from."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ecompulse.kernels.decode.batch import Batch, all_of, nothing
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.json_rows import cells_of
from ecompulse.kernels.decode.nested import exact
from ecompulse.kernels.decode.nested.columns import Taken, elements, left_of, take
from ecompulse.kernels.decode.nested.combining import apart, combined, record_of_line
from ecompulse.kernels.decode.nested.rows import Rows
from ecompulse.kernels.decode.nested.wanted import Wanted, doubtful, held, holds
from ecompulse.kernels.decode.plan import PROPERTIES
from ecompulse.kernels.decode.row_decoder import Record
from ecompulse.kernels.decode.rules import BrokenRule
from ecompulse.kernels.foreign.paths import EACH, NUMBER
from ecompulse.kernels.segments import changes, first_places

Parse = Callable[[int], dict[str, Any]]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Flat:
    """The events of a shape before they are read.

    Attributes:
        wanted: the shape.
        row: in its batch, of each event (Int64).
        line: of each event, the number of the line in its row, from 1; 0 for none.
        places: of each event, the element of each list that is exploded (a column each, Int64).
        batch: their cells.
    """

    wanted: Wanted
    row: pl.Series
    line: pl.Series
    places: pl.DataFrame
    batch: Batch

    def named(self, event: int) -> str:
        """The line of an event, as messages name it; empty for none."""
        if not self.places.width:
            return ""
        return "".join(
            f"{name.removeprefix(before)}[{at}]"
            for name, before, at in zip(
                self.wanted.list_names, ("", *self.wanted.list_names), self.places.row(event), strict=False
            )
        )


def flatten(
    rows: Rows, wanted: Wanted, taken: pl.Series, exactly: Collection[int], parse: Parse, dead: dict[int, BrokenRule]
) -> Flat:
    """The events that a shape makes of rows.

    Args:
        rows: the batch.
        wanted: the shape.
        taken: the rows that it takes (Int64), in order.
        exactly: those of which the columns may not be believed.
        parse: a row, exactly; raises BrokenRule.
        dead: rows that turn out to be none are added, with what they break.
    """
    odd = pl.Series([row for row in taken if row in exactly], dtype=pl.Int64) if exactly else taken.clear()
    known = taken.filter(~taken.is_in(odd.implode())) if odd.len() else taken
    lines = _explode(_header(rows, wanted, known), wanted)
    doubted = lines.choose(wanted)
    if doubted.len():
        return flatten(rows, wanted, taken, {*exactly, *doubted}, parse, dead)
    places: list[tuple[int, ...]] = []
    for row in odd:
        try:
            values = parse(row)
        except BrokenRule as broken:
            dead[row] = broken.alone()
        else:
            places += _lines_exactly(row, values, wanted)
    width = len(wanted.list_names)
    schema = {"row": pl.Int64(), "line": pl.Int64(), **{f"at{number}": pl.Int64() for number in range(width)}}
    added = pl.DataFrame(places, schema=schema, orient="row")
    where = pl.concat([lines.where.select(list(schema)), added])
    batch = _batch(rows, wanted, lines, where, parse)
    return Flat(wanted, where["row"], where["line"], where.drop("row", "line"), batch)


def _lines_exactly(row: int, values: dict[str, Any], wanted: Wanted) -> Iterator[tuple[int, ...]]:
    """Row, number of the line, and its places, of the lines of a row."""
    for number, places in enumerate(exact.lines_in(values, wanted.lines), start=1):
        if wanted.shape.where:
            taken = exact.Taken()
            exact.take(wanted.tree, values, places, taken)
            if not holds(wanted.shape.where, taken.values):
                continue
        yield row, number if wanted.lines else 0, *places


def first_of(rows: Numbers) -> Numbers:
    """Of numbers that stand together where they are equal, the place of the first of each."""
    return first_places(changes(rows))


def within(rows: Numbers) -> pl.Series:
    """Of the same, which one each is among its equals, from 0 (Int64)."""
    return pl.Series(np.arange(len(rows)) - first_of(rows), dtype=pl.Int64)


@dataclass
class _Lines:
    """Columns of one level: of rows, then of their lines."""

    where: pl.DataFrame
    taken: Taken
    left: dict[str, pl.Series]
    doubted: pl.Series
    """Rows with a list that was exploded, and may have more elements than are seen."""

    def choose(self, wanted: Wanted) -> pl.Series:
        """Number the lines, and leave those that the shape wants; the rows where that may not be believed."""
        lines = within(self.where["row"].to_numpy()) + 1 if wanted.lines else pl.lit(0, pl.Int64)
        self.where = self.where.with_columns(line=lines)
        condition = wanted.shape.where
        if not condition:
            return self.doubted.unique()
        paths = {name: column for name, column in self.taken.values.items() if name.strip("\x01") in dict(condition)}
        said = cells_of(paths)
        doubted = self.where["row"].filter(self.taken.suspects | doubtful(condition, said, self.where.height))
        chosen = pl.int_range(self.where.height, eager=True).filter(held(condition, said, self.where.height))
        where = self.where[chosen]
        kept = self.gathered(pl.DataFrame({"row": chosen, "at": chosen}), 0)
        self.where, self.taken, self.left = where, kept.taken, kept.left
        return pl.concat([self.doubted, doubted]).unique()

    def gathered(self, items: pl.DataFrame, level: int) -> "_Lines":
        """One for each element of lists."""
        rows = items["row"]
        taken = Taken(self.taken.suspects.gather(rows), keeps=self.taken.keeps)
        taken.values = {name: column.gather(rows) for name, column in self.taken.values.items()}
        taken.bag = None if self.taken.bag is None else self.taken.bag.gather(rows)
        where = self.where[rows].with_columns(items["at"].cast(pl.Int64).alias(f"at{level}"))
        doubted = pl.concat([self.doubted, self.where["row"].filter(self.taken.suspects)])
        return _Lines(where, taken, {name: column.gather(rows) for name, column in self.left.items()}, doubted)


def _header(rows: Rows, wanted: Wanted, known: pl.Series) -> _Lines:
    columns = rows.columns
    if known.len() < rows.height:
        columns = {name: column.gather(known) for name, column in columns.items()}
    keys = {step.name: child for step, child in wanted.tree.children.items() if step.kind == "key"}
    bags = keys.get(PROPERTIES)
    taken = Taken(all_of(value=False, height=known.len()), keeps=wanted.keeps_rest or bool(bags and bags.children))
    left = left_of(keys, columns, taken)
    return _Lines(pl.DataFrame({"row": known}), taken, left if wanted.keeps_rest else {}, known.clear())


def _explode(lines: _Lines, wanted: Wanted) -> _Lines:
    for level, name in enumerate(wanted.list_names):
        node, lists = lines.taken.lists or (None, nothing(lines.where.height))
        items = elements(lists)
        lines = lines.gathered(items, level)
        if node is None:
            continue
        inner = Taken(all_of(value=False, height=items.height), keeps=lines.taken.keeps)
        text = items.select(pl.when(pl.col("text") != "null").then("text")).to_series()
        rest = take(node.children[EACH], text, inner) if EACH in node.children else None
        if NUMBER in node.children:
            inner.values |= dict.fromkeys(node.children[NUMBER].targets, (items["at"] + 1).cast(pl.String))
        taken = lines.taken
        taken.values |= inner.values
        taken.suspects |= inner.suspects
        taken.bag = taken.bag if inner.bag is None else inner.bag
        taken.lists = inner.lists
        if rest is not None and wanted.keeps_rest:
            lines.left[name] = rest
    return lines


def _batch(rows: Rows, wanted: Wanted, lines: _Lines, where: pl.DataFrame, parse: Parse) -> Batch:
    """Events as a batch: those that only `exact` can be asked of come last, without cells."""
    row, fill = where["row"], where.height - lines.where.height
    suspects = lines.taken.suspects
    cells = cells_of(lines.taken.values)
    fields = {}
    for name, targets in wanted.targets.items():
        found, doubtful = combined(cells, targets, wanted.joins(name), wanted.nulls)
        if found is not None:
            fields[name] = found
            suspects = suspects if doubtful is None else suspects | doubtful
    unknown, bag = apart(lines.left, lines.taken.bag, lines.where.height)
    text = {name: _filled(column, fill) for name, column in unknown.items()}

    def record(event: int) -> Record:
        return record_of_line(wanted, parse(row[event]), where.row(event)[2:], content, row[event])

    content = rows.content() if wanted.plan.hashes_ids else None
    positions = rows.positions[row].with_columns(pl.int_range(where.height, dtype=pl.Int64).alias("source_offset"))
    return Batch(
        positions=positions,
        cells={
            name: Cells(_filled(column, fill), _filled_with(quoted, fill)) for name, (column, quoted) in fields.items()
        },
        unknown=text,
        properties=None if bag is None else _filled(bag, fill),
        suspects=pl.concat([suspects, all_of(value=True, height=fill)]) if fill else suspects,
        record=record,
        raw=lambda events: rows.raw(row.gather(events)),
        content=None if content is None else content.gather(row),
    )


def _filled(column: pl.Series, fill: int) -> pl.Series:
    return pl.concat([column, nothing(fill)]) if fill else column


def _filled_with(column: pl.Series, fill: int) -> pl.Series:
    return pl.concat([column, all_of(value=False, height=fill)]) if fill else column
