"""Rows of typed columns (Parquet) as columns of cells."""

import json
from typing import Any, Final

import polars as pl

from ecompulse.kernels.decode.batch import Batch, all_of, nothing
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.json_rows import utf8
from ecompulse.kernels.decode.judge import Record, record_of
from ecompulse.kernels.decode.plan import Plan
from ecompulse.kernels.decode.properties import join_objects
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.decode.sorting import json_text, sort_columns
from ecompulse.kernels.decode.strict_json import parse
from ecompulse.kernels.event import MAX_ROW_BYTES, POSITION_SCHEMA
from ecompulse.kernels.mapping import TimeReading

_ISO: Final = "%Y-%m-%dT%H:%M:%S%.3f"
_WRAPPER: Final = '{"v":'
_EXACT_LEAVES: Final = (pl.String, pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)  # fmt: skip  # noqa: E501


def typed_batch(rows: pl.DataFrame, plan: Plan) -> tuple[Batch, Plan]:
    """The batch of rows with any columns beside `POSITION_SCHEMA`, and the plan with times as they are typed.

    A row's raw form, for dead letters and the hash, is its JSON object without nulls, keys sorted.
    """
    names = [name for name in rows.columns if name not in POSITION_SCHEMA]
    plan = _typed_times(rows, plan)
    columns = {name: _cells(rows[name]) for name in names}
    not_text = _not_text(rows, columns)
    sorted_out = sort_columns(columns, plan)
    sizes = pl.sum_horizontal(cells.text.str.len_bytes().fill_null(0) for cells in columns.values())
    large = pl.select(sizes > MAX_ROW_BYTES).to_series() if columns else all_of(False, rows.height)

    def content(chosen: pl.Series | None = None) -> pl.Series:
        texts = {name: json_text(cells) for name, cells in columns.items()}
        if chosen is not None:
            texts = {name: text.gather(chosen) for name, text in texts.items()}
        height = rows.height if chosen is None else chosen.len()
        return join_objects(texts, has=all_of(True, height))

    def record(row: int) -> Record:
        if large[row]:
            raise BrokenRule(Rule.ROW_TOO_LARGE, f"the row has more than {MAX_ROW_BYTES} bytes")
        if not_text[row]:
            raise BrokenRule(Rule.INVALID_UTF8, "a column of bytes is not UTF-8")
        values = {name: _value(cells, row) for name, cells in columns.items()}
        return record_of(values, content(pl.Series([row]))[0] if plan.hashes_ids else "", plan)

    batch = Batch(
        positions=rows.select(POSITION_SCHEMA.names()).cast(dict(POSITION_SCHEMA)),
        cells=sorted_out.cells,
        unknown=sorted_out.unknown,
        properties=sorted_out.properties,
        suspects=sorted_out.suspects | large | not_text,
        record=record,
        raw=lambda chosen: content(chosen).cast(pl.Binary),
        content=content() if plan.hashes_ids else None,
    )
    return batch, plan


def _typed_times(rows: pl.DataFrame, plan: Plan) -> Plan:
    """A column of times is read as such, whatever format the mapping gives to text."""
    column = next((name for name, field in plan.sources.items() if field == "event_time"), None)
    if column not in rows.columns or not isinstance(rows.schema[column], pl.Datetime):
        return plan
    mapping = plan.mapping.with_time(TimeReading(zone=plan.mapping.time.zone))
    return Plan(mapping, plan.now_ms, plan.typed)


def _value(cells: Cells, row: int) -> Any:
    cell = cells.at(row)
    return None if cell is None else cell.text if cell.quoted else parse(cell.text)


def _not_text(rows: pl.DataFrame, columns: dict[str, Cells]) -> pl.Series:
    bad = all_of(False, rows.height)
    for name, cells in columns.items():
        if rows.schema[name] == pl.Binary:
            bad |= rows[name].is_not_null() & cells.text.is_null()
    return bad


def _cells(column: pl.Series) -> Cells:
    text, quoted = _text(column)
    return Cells(text, all_of(quoted, column.len()))


def _text(column: pl.Series) -> tuple[pl.Series, bool]:
    """A typed column as text, and whether that is a string (else JSON text)."""
    dtype = column.dtype
    if dtype == pl.Null:
        return nothing(column.len()), True
    if dtype == pl.Binary:
        return utf8(column), True
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone:
            return column.dt.convert_time_zone("UTC").dt.strftime(_ISO + "Z"), True
        return column.dt.strftime(_ISO), True
    if dtype.is_float():
        return column.cast(pl.String).str.replace("inf", "Infinity", literal=True), False
    if dtype.is_nested():
        return _nested(column), False
    return column.cast(pl.String), not (dtype.is_numeric() or dtype == pl.Boolean)


def _nested(column: pl.Series) -> pl.Series:
    """JSON text of structs and lists; Polars writes NaN as null and no bytes, so those go through Python."""
    if not all(leaf in _EXACT_LEAVES for leaf in _leaves(column.dtype)):
        texts = [None if item is None else json.dumps(item, default=str) for item in column.to_list()]
        return pl.Series(texts, dtype=pl.String)
    value = pl.col("v")
    wrapped = pl.struct("v").struct.json_encode()
    text = wrapped.str.strip_prefix(_WRAPPER).str.strip_suffix("}")
    return column.alias("v").to_frame().select(pl.when(value.is_not_null()).then(text)).to_series()


def _leaves(dtype: Any) -> list[Any]:
    if isinstance(dtype, pl.Struct):
        return [leaf for part in dtype.fields for leaf in _leaves(part.dtype)]
    if isinstance(dtype, pl.List | pl.Array):
        return _leaves(dtype.inner)
    return [dtype]
