"""Rows with paths and shapes to events and dead letters: a row is all of its events, or one dead letter."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.decode.assemble import ROW, Decoded, dead_letters, parted
from ecompulse.kernels.decode.batch import all_of
from ecompulse.kernels.decode.json_rows import cells_of
from ecompulse.kernels.decode.nested import exact
from ecompulse.kernels.decode.nested.columns import Taken, left_of
from ecompulse.kernels.decode.nested.flat import Flat, first_of, flatten, within
from ecompulse.kernels.decode.nested.rows import Rows
from ecompulse.kernels.decode.nested.wanted import Conditions, doubtful, wanted_of
from ecompulse.kernels.decode.plan import Plan
from ecompulse.kernels.decode.rules import WHOLE_ROW, BrokenRule, Rule
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.foreign.shape import OTHERWISE

PARTS: Final = 16_384
"""Events of one row at the most; where rows may give several, the offset of an event is that of its row by so many, and
the number of the event in it more."""


@dataclass
class _Sorted:
    """Which rows go where.

    Attributes:
        taken: rows (Int64) by number of the shape, in order.
        exactly: rows that only `exact` can be asked of.
        dead: rows of which no event is made, with what they break.
        skipped: rows that are no events.
    """

    taken: list[pl.Series]
    exactly: set[int] = field(default_factory=set)
    dead: dict[int, BrokenRule] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)


class _Parsed:
    """Rows, exactly, each parsed once."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._found: dict[int, dict[str, Any] | BrokenRule] = {}

    def __call__(self, row: int) -> dict[str, Any]:
        """The row; raises BrokenRule."""
        if row not in self._found:
            try:
                self._found[row] = self._rows.values(row)
            except BrokenRule as broken:
                self._found[row] = broken.alone()
        found = self._found[row]
        if isinstance(found, BrokenRule):
            raise found.again()
        return found


def decode_nested(rows: Rows, plan: Plan) -> Decoded:
    """Events and dead letters of a batch; never raises on what it holds."""
    parse = _Parsed(rows)
    found = _sort(rows, Conditions(plan.mapping), parse)
    shapes = wanted_of(plan.mapping, plan)
    taking = [wanted for wanted in shapes if found.taken[wanted.number].len()] or shapes[:1]
    flats = [flatten(rows, wanted, found.taken[wanted.number], found.exactly, parse, found.dead) for wanted in taking]
    numbered = _numbered(flats)
    dead = {**found.dead, **_refused(numbered, rows.height, found, parse)}
    good = []
    for flat in flats:
        events, bad = parted(flat.batch, flat.wanted.plan)
        good.append(events)
        for event, broken in bad:
            row = int(flat.row[event])
            dead.setdefault(row, _told(broken, row, flat.named(event), parse))
    events = _events(flats, good, numbered, rows, plan, dead)
    letters = dead_letters(sorted(dead.items()), rows.positions, rows.raw, plan.now_ms)
    rest = rows.height - len(dead) - len(found.skipped)
    return Decoded(events, *letters, further=events.height - rest, skipped=len(found.skipped))


def _told(broken: BrokenRule, row: int, line: str, parse: _Parsed) -> BrokenRule:
    """What a line breaks, with its name, unless the whole row is none."""
    try:
        parse(row)
    except BrokenRule as whole:
        return whole.alone()
    return broken.under(line) if line and broken.rule not in WHOLE_ROW else broken


def _sort(rows: Rows, conditions: Conditions, parse: _Parsed) -> _Sorted:
    """Which shapes take which rows."""
    keys = {step.name: child for step, child in conditions.tree.children.items() if step.kind == "key"}
    seen = Taken(rows.suspects.clone(), keeps=False)
    looked = {name: column for name, column in rows.columns.items() if name in keys}
    left_of(keys, looked, seen)
    said = cells_of(seen.values)
    suspects = seen.suspects
    for condition in conditions.all:
        suspects |= doubtful(condition, said, rows.height)
    true = conditions.columns(said, rows.height)
    shapes = conditions.mapping.shapes
    skip = _any(true[len(shapes) :], rows.height)
    chosen = _any([true[at] for at, shape in enumerate(shapes) if shape.when not in (None, OTHERWISE)], rows.height)
    numbers = pl.int_range(rows.height, eager=True, dtype=pl.Int64)
    believed = ~suspects
    takes = [(~chosen if shape.when == OTHERWISE else true[at]) & ~skip for at, shape in enumerate(shapes)]
    found = _Sorted([numbers.filter(take & believed) for take in takes])
    if conditions.skips_others:
        skip |= ~_any(takes, rows.height)
    found.skipped = set(numbers.filter(skip & believed))
    _sort_exactly(numbers.filter(suspects), conditions, parse, found)
    return found


def _sort_exactly(rows: pl.Series, conditions: Conditions, parse: _Parsed, found: _Sorted) -> None:
    further: list[list[int]] = [[] for _ in found.taken]
    for row in rows:
        try:
            values = parse(row)
        except BrokenRule as broken:
            found.dead[row] = broken.alone()
            continue
        taken = exact.Taken()
        exact.take(conditions.tree, values, (), taken)
        true = conditions.hold(taken.values)
        shapes = conditions.shapes(true)
        if any(true[len(found.taken) :]) or (conditions.skips_others and not shapes):
            found.skipped.add(row)
        for shape in shapes:
            further[shape].append(row)
        found.exactly.add(row)
    if found.exactly:
        found.taken = [
            pl.concat([taken, pl.Series(more, dtype=pl.Int64)]).sort()
            for taken, more in zip(found.taken, further, strict=True)
        ]


def _any(columns: list[pl.Series], height: int) -> pl.Series:
    found = all_of(value=False, height=height)
    for column in columns:
        found |= column
    return found


def _numbered(flats: list[Flat]) -> pl.DataFrame:
    """Each event's place among those of its row: `shape`, `event` in it, `row`, `part`, `line` (from 1, 0 for none).

    `first`: it is the first event of its row without a line.
    """
    frames = [
        pl.DataFrame({"row": flat.row}).with_columns(
            shape=pl.lit(flat.wanted.number, pl.Int64),
            event=pl.int_range(flat.row.len(), dtype=pl.Int64, eager=True),
            line=flat.line,
        )
        for flat in flats
    ]
    together = pl.concat(frames)
    if len(flats) > 1:
        together = together.sort("row", "shape", "line", maintain_order=True)
    row, alone = together["row"].to_numpy(), (together["line"] == 0).to_numpy()
    before = np.cumsum(alone) - alone
    return together.with_columns(
        part=within(row),
        first=alone & (before == before[first_of(row)]) if together.height else pl.Series([], dtype=pl.Boolean),
    )


def _refused(numbered: pl.DataFrame, height: int, found: _Sorted, parse: _Parsed) -> dict[int, BrokenRule]:
    """Rows without any event, and rows with too many."""
    numbers = pl.int_range(height, eager=True, dtype=pl.Int64)
    refused: dict[int, BrokenRule] = {}
    for row in numbers.filter(~numbers.is_in(numbered["row"].unique().implode())):
        if row not in found.dead and row not in found.skipped:
            try:
                parse(row)
                refused[row] = BrokenRule(Rule.NO_EVENT, "no shape of the mapping makes an event of the row")
            except BrokenRule as broken:
                refused[row] = broken.alone()
    many = set(numbered.filter(pl.col("part") >= PARTS)["row"])
    return {**refused, **{row: BrokenRule(Rule.OUT_OF_RANGE, f"makes more than {PARTS} events") for row in many}}


def _events(
    flats: list[Flat],
    good: list[pl.DataFrame],
    numbered: pl.DataFrame,
    rows: Rows,
    plan: Plan,
    dead: dict[int, BrokenRule],
) -> pl.DataFrame:
    """The events of rows that are whole, with ids and positions of their own."""
    divides = plan.mapping.divides
    lists = next((number for number, shape in enumerate(plan.mapping.shapes) if shape.lines), None)
    frames = []
    for flat, events in zip(flats, good, strict=True):
        own = numbered.filter(pl.col("shape") == flat.wanted.number).sort("event")
        place = own[events[ROW]].select("row", "part", "line", "first", "shape")
        offset = rows.positions["source_offset"].gather(place["row"])
        ids = _suffix(lists) if divides and not flat.wanted.own_id else pl.lit("")
        placed = events.with_columns(source_offset=offset * PARTS + place["part"] if divides else offset)
        placed = placed.drop(ROW).hstack(place).with_columns(pl.concat_str("event_id", ids).alias("event_id"))
        frames.append(placed)
    together = pl.concat(frames).filter(~pl.col("row").is_in(list(dead)))
    return together.sort("row", "part").select(FRAME_SCHEMA.names())


def _suffix(lists: int | None) -> pl.Expr:
    """What is put after ids that events of a row share.

    `/2` is the second line of `lists`, the first shape that explodes any; another has its number before, as `/s3/2`.
    Without lines it is none of the first event of the row, and `/s3` of further ones.
    """
    shape = pl.lit("/s") + (pl.col("shape") + 1).cast(pl.String)
    line = pl.lit("/") + pl.col("line").cast(pl.String)
    of_line = pl.when(pl.col("shape") == (-1 if lists is None else lists)).then(line).otherwise(shape + line)
    return pl.when(pl.col("line") > 0).then(of_line).otherwise(pl.when("first").then(pl.lit("")).otherwise(shape))
