"""Rows of typed columns (Parquet) as columns of cells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ecompulse.kernels.decode.batch import Batch, all_of
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.nested.rows import Rows
from ecompulse.kernels.decode.plan import Plan
from ecompulse.kernels.decode.properties import join_objects
from ecompulse.kernels.decode.routing import json_text, route_columns
from ecompulse.kernels.decode.row_decoder import Record, record_of
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.decode.strict_json import parse
from ecompulse.kernels.decode.typed_text import text_of
from ecompulse.kernels.event import MAX_ROW_BYTES, OWN, POSITION_SCHEMA, TIME
from ecompulse.kernels.foreign.times import TimeReading


@dataclass(frozen=True)
class _Columns:
    """Cells by foreign column, made of each when they are asked for."""

    own: Mapping[str, pl.Series]
    made: dict[str, Cells] = field(default_factory=dict)

    def of(self, name: str) -> Cells:
        """The cells of a column."""
        if name not in self.made:
            self.made[name] = _cells(self.own[name])
        return self.made[name]

    def items(self, *, but: str | None = None) -> Iterator[tuple[str, Cells]]:
        """All columns, or all but one."""
        return ((name, self.of(name)) for name in self.own if name != but)


@dataclass(frozen=True)
class _Rows:
    """The columns of a batch, and what one row of them is.

    Attributes:
        columns: cells by foreign column.
        moments: the column of times that feeds event_time, if there is one and it says the moment.
        large: rows of more than `MAX_ROW_BYTES` bytes of text.
        not_text: rows with bytes that are not UTF-8.
        plan: what they are decoded by.
    """

    columns: _Columns
    moments: str | None
    large: pl.Series
    not_text: pl.Series
    plan: Plan

    def content(self, chosen: pl.Series) -> pl.Series:
        """The JSON objects of these rows, without nulls, keys sorted."""
        texts = {
            name: json_text(Cells(text.gather(chosen), quoted.gather(chosen)))
            for name, (text, quoted) in self.columns.items()
        }
        return join_objects(texts, has=all_of(value=True, height=chosen.len()))

    def raw(self, chosen: pl.Series) -> pl.Series:
        """The same as bytes."""
        return self.content(chosen).cast(pl.Binary)

    def record(self, row: int) -> Record:
        """One row, exactly; raises BrokenRule."""
        values = self.values(row)
        content = self.content(pl.Series([row]))[0] if self.plan.hashes_ids else ""
        return record_of(values, content, self.plan)

    def values(self, row: int) -> dict[str, Any]:
        """The values of one row, exactly; raises BrokenRule."""
        if self.large[row]:
            raise BrokenRule(Rule.ROW_TOO_LARGE, f"the row has more than {MAX_ROW_BYTES} bytes")
        if self.not_text[row]:
            raise BrokenRule(Rule.INVALID_UTF8, "a column of bytes is not UTF-8")
        return {name: _value(name, cells, row) for name, cells in self.columns.items()}


def typed_batch(rows: pl.DataFrame, plan: Plan) -> tuple[Batch, Plan]:
    """The batch of rows with any columns beside `POSITION_SCHEMA`, and the plan with times as they are typed.

    Columns may be escaped (`OWN`). A row's raw form, for dead letters and the hash, is its JSON object without nulls,
    keys sorted.
    """
    typed, plan = _typed(rows, plan)
    columns = dict(typed.columns.items(but=typed.moments))
    found = route_columns(columns, plan)
    # Read back from ISO 8601 it would be no other.
    known = {} if typed.moments is None else {"event_time": typed.columns.own[typed.moments].cast(TIME)}
    batch = Batch(
        positions=rows.select(POSITION_SCHEMA.names()).cast(POSITION_SCHEMA),
        cells=found.cells,
        unknown=found.unknown,
        properties=found.properties,
        suspects=found.suspects | typed.large | typed.not_text if columns else typed.large,
        record=typed.record,
        raw=typed.raw,
        content=typed.content(pl.int_range(rows.height, eager=True)) if plan.hashes_ids else None,
        known=known,
    )
    return batch, plan


def typed_rows(rows: pl.DataFrame, plan: Plan) -> tuple[Rows, Plan]:
    """The same before anything is taken of the rows."""
    typed, plan = _typed(rows, plan)
    found = Rows(
        positions=rows.select(POSITION_SCHEMA.names()).cast(POSITION_SCHEMA),
        columns={name: json_text(cells) for name, cells in typed.columns.items()},
        suspects=typed.large | typed.not_text,
        values=typed.values,
        raw=typed.raw,
        content=lambda: typed.content(pl.int_range(rows.height, eager=True)),
    )
    return found, plan


def _typed(rows: pl.DataFrame, plan: Plan) -> tuple[_Rows, Plan]:
    own = {name.removeprefix(OWN): rows[name] for name in rows.columns if name not in POSITION_SCHEMA}
    plan = _typed_times(own, plan)
    columns, moments = _Columns(own), _moments(own, plan)
    return _Rows(columns, moments, _large(columns, moments, rows.height), _not_text(columns, rows.height), plan), plan


def _moments(own: Mapping[str, pl.Series], plan: Plan) -> str | None:
    name = next((name for name, field in plan.sources.items() if field == "event_time"), "")
    dtype = own[name].dtype if name in own else None
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return name if zoned and plan.readings["event_time"].preparation is None and name not in plan.mapping.drop else None


def _large(columns: _Columns, but: str | None, height: int) -> pl.Series:
    sizes = [cells.text.str.len_bytes().fill_null(0) for _, cells in columns.items(but=but)]
    if not sizes:
        return all_of(value=False, height=height)
    return pl.select(pl.sum_horizontal(sizes) > MAX_ROW_BYTES).to_series()


def _typed_times(own: Mapping[str, pl.Series], plan: Plan) -> Plan:
    """A column of times is read as such, whatever format the mapping gives to text."""
    column = next((name for name, field in plan.sources.items() if field == "event_time"), "")
    if column not in own or not isinstance(own[column].dtype, pl.Datetime):
        return plan
    mapping = plan.mapping.with_time(TimeReading(zone=plan.mapping.time.zone, ambiguous=plan.mapping.time.ambiguous))
    return Plan(mapping, plan.now_ms, plan.typed)


def _value(name: str, cells: Cells, row: int) -> Any:
    cell = cells.at(row)
    try:
        return None if cell is None else cell.text if cell.quoted else parse(cell.text)
    except BrokenRule as broken:
        raise broken.under(name) from None


def _not_text(columns: _Columns, height: int) -> pl.Series:
    bad = all_of(False, height)
    for name, column in columns.own.items():
        if column.dtype == pl.Binary:
            bad |= column.is_not_null() & columns.of(name).text.is_null()
    return bad


def _cells(column: pl.Series) -> Cells:
    text, quoted = text_of(column)
    return Cells(text, all_of(quoted, column.len()))
