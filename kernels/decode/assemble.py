"""From columns of cells to events and dead letters: screens first, one row at a time what they leave."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import polars as pl

from ecompulse.kernels.decode.batch import Batch, all_of, nothing
from ecompulse.kernels.decode.cells import Cell
from ecompulse.kernels.decode.conversions import CONVERSIONS, check_size
from ecompulse.kernels.decode.plan import COLUMN_FIELDS, IDENTITIES, NOTHING_IF_EMPTY, PROPERTIES, Plan
from ecompulse.kernels.decode.properties import merge_properties
from ecompulse.kernels.decode.row_decoder import decode_row
from ecompulse.kernels.decode.rules import BrokenRule
from ecompulse.kernels.decode.units import by_currency, in_units
from ecompulse.kernels.event import (
    DEAD_LETTER_SCHEMA,
    DTYPES,
    EVENT_SCHEMA,
    FRAME_SCHEMA,
    KEPT_ROW_BYTES,
    MAX_FIELD_BYTES,
    MAX_ROW_BYTES,
    MIN_EVENT_TIME_MS,
    Field,
    Kind,
)
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.mapping import CURRENCY

ROW: Final = "_row"
"""Column of the number of a row in its batch."""
_CERTAIN: Final = "_certain"


class Decoded(NamedTuple):
    """What a batch of raw rows became; `events.height - further + dead.height + skipped` is its number of rows.

    Attributes:
        events: good rows in their order (`FRAME_SCHEMA`).
        dead: the others in their order (`DEAD_LETTER_SCHEMA`).
        dead_times: event time of each dead row as far as it could be read and believed (`TIME`).
        bare: the message of each dead row without anything that the row says (String).
        further: events beyond the first of each good row.
        skipped: rows that the mapping says are no events.
    """

    events: pl.DataFrame
    dead: pl.DataFrame
    dead_times: pl.Series
    bare: pl.Series
    further: int = 0
    skipped: int = 0


def assemble(batch: Batch, plan: Plan) -> Decoded:
    """Events and dead letters of a batch; never raises on what it holds."""
    good, bad = parted(batch, plan)
    letters = dead_letters(bad, batch.positions, batch.raw, plan.now_ms)
    return Decoded(good.select(FRAME_SCHEMA.names()), *letters)


def parted(batch: Batch, plan: Plan) -> tuple[pl.DataFrame, list[tuple[int, BrokenRule]]]:
    """The good rows in their order (`FRAME_SCHEMA`, and the number of the row as ROW), and what others break."""
    if batch.height and batch.suspects.all():
        good, bad = _judged(range(batch.height), batch, plan)
        return _exact_frame(good, batch), bad
    screened = _screen(batch, plan)
    certain = screened[_CERTAIN] & ~batch.suspects
    rows = pl.int_range(batch.height, eager=True)
    left = rows.filter(~certain)
    fast = screened.drop(_CERTAIN).hstack(batch.positions).with_columns(rows.alias(ROW))
    if left.is_empty():
        return fast, []
    good, bad = _judged(left, batch, plan)
    fast = fast.filter(certain)
    return pl.concat([fast, _exact_frame(good, batch).select(fast.columns)]).sort(ROW) if good else fast, bad


def _judged(rows: Iterable[int], batch: Batch, plan: Plan) -> tuple[list[dict[str, Any]], list[tuple[int, BrokenRule]]]:
    """What some rows are, one at a time: the good ones, and the others with what they break."""
    good: list[dict[str, Any]] = []
    bad: list[tuple[int, BrokenRule]] = []
    for row in rows:
        try:
            good.append({ROW: row, **decode_row(batch.record(row), plan)})
        except BrokenRule as broken:  # the rare rows that no column vouches for
            bad.append((row, broken.alone()))
    return good, bad


def _exact_frame(good: list[dict[str, Any]], batch: Batch) -> pl.DataFrame:
    times = {**EVENT_SCHEMA, "event_time": pl.Int64()}
    frame = pl.DataFrame(good, schema={ROW: pl.Int64(), **times}, orient="row")
    frame = frame.with_columns(_utc(pl.col("event_time")))
    return frame.hstack(batch.positions[frame[ROW]])


def dead_letters(
    bad: Sequence[tuple[int, BrokenRule]], positions: pl.DataFrame, raw: Callable[[pl.Series], pl.Series], now_ms: int
) -> tuple[pl.DataFrame, pl.Series, pl.Series]:
    """Letters of rows, their times, and their bare messages; see `Decoded`."""
    rows = pl.Series([row for row, _ in bad], dtype=pl.Int64)
    frame = positions[rows].with_columns(
        raw=_first_bytes(raw(rows)) if bad else pl.Series([], dtype=pl.Binary),
        rule=pl.Series([broken.rule.value for _, broken in bad], dtype=pl.String),
        message=pl.Series([broken.message for _, broken in bad], dtype=pl.String),
        seen_at=_utc(pl.lit(now_ms, pl.Int64)),
    )
    times = pl.Series("event_time", [broken.event_time_ms for _, broken in bad], dtype=pl.Int64)
    as_times = times.to_frame().select(_utc(pl.col("event_time"))).to_series()
    bare = pl.Series("bare", [broken.bare for _, broken in bad], dtype=pl.String)
    return frame.select(DEAD_LETTER_SCHEMA.names()), as_times, bare


def _first_bytes(raw: pl.Series) -> pl.Series:
    """Rows as letters keep them: of one that is too large its beginning."""
    large = raw.bin.size() > MAX_ROW_BYTES
    return raw.zip_with(~large.fill_null(value=False), raw.bin.head(KEPT_ROW_BYTES)) if large.any() else raw


def _screen(batch: Batch, plan: Plan) -> pl.DataFrame:
    """Columns of `EVENT_SCHEMA`, and `_certain`: rows in which every value is what `decode_row` gives."""
    values: list[pl.Expr] = []
    checks: list[pl.Expr] = []
    inputs: dict[str, pl.Series] = {}
    for field in COLUMN_FIELDS:
        value, check = _field(field, batch, plan, inputs)
        values.append(value.cast(DTYPES[field.kind]).alias(field.name))
        checks.append(check.fill_null(value=False))
    merged = merge_properties(batch)
    inputs[PROPERTIES] = merged.text
    inputs[_CERTAIN] = merged.certain
    known = pl.any_horizontal(pl.col(name).is_not_null() for name in IDENTITIES)
    frame = pl.DataFrame({"_height": batch.positions["source_offset"], **inputs})
    columns = [*values, pl.col(PROPERTIES), (pl.col(_CERTAIN) & pl.all_horizontal(checks)).alias(_CERTAIN)]
    frame = frame.lazy().select(columns).collect()  # lazily, a value that its check looks at is worked out once
    frame = frame.with_columns((pl.col(_CERTAIN) & known).alias(_CERTAIN))
    return _in_units(frame, plan) if by_currency(plan.mapping) else frame


def _in_units(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Amounts in units of their currencies; one that is too large for that is left to `decode_row`."""
    names = by_currency(plan.mapping)
    scaled = frame.with_columns(in_units(name, plan.mapping) for name in names)
    fits = [scaled[name].is_null() == frame[name].is_null() for name in names]
    return scaled.with_columns(pl.all_horizontal(_CERTAIN, *fits).alias(_CERTAIN))


def _field(field: Field, batch: Batch, plan: Plan, inputs: dict[str, pl.Series]) -> tuple[pl.Expr, pl.Expr]:
    """Values of one field and where they are certain, over the columns put into `inputs`."""
    if field.name in plan.constants:
        value, check = _constant(field, plan.constants[field.name], plan)
    elif field.name in batch.known:
        inputs[field.name] = batch.known[field.name]
        value = pl.col(field.name)
        check = value.dt.epoch("ms").is_between(MIN_EVENT_TIME_MS, plan.readings[field.name].latest_ms)
    elif field.name not in batch.cells and not plan.readings[field.name].absent():
        value, check = pl.lit(None, DTYPES[field.kind]), pl.lit(not field.required)
    else:
        believed = _cells(field, batch, plan, inputs)
        text, quoted = pl.col(f"{field.name}.text"), pl.col(f"{field.name}.quoted")
        value, certain = CONVERSIONS[field.kind].screen(text, quoted, plan.readings[field.name])
        check = certain & believed & (text.str.len_bytes() <= MAX_FIELD_BYTES)
        check = check & (text != "") if field.required else check | text.is_null()
    return _finished(field, value, check, batch, plan, inputs)


def _cells(field: Field, batch: Batch, plan: Plan, inputs: dict[str, pl.Series]) -> pl.Expr:
    """Put the cells of a field into `inputs`, as they are read; where they may be believed."""
    name, preparation = field.name, plan.readings[field.name].preparation
    text, quoted = batch.cells.get(name) or (nothing(batch.height), all_of(value=False, height=batch.height))
    if preparation is None:
        inputs[f"{name}.text"], inputs[f"{name}.quoted"] = text, quoted
        return pl.lit(value=True)
    inputs[f"{name}.text"], inputs[f"{name}.quoted"], certain = preparation.apply(text, quoted)
    inputs[f"{name}.certain"] = certain & (text.str.len_bytes().fill_null(0) <= MAX_FIELD_BYTES)
    return pl.col(f"{name}.certain")


def _finished(
    field: Field, value: pl.Expr, check: pl.Expr, batch: Batch, plan: Plan, inputs: dict[str, pl.Series]
) -> tuple[pl.Expr, pl.Expr]:
    """What the mapping adds: hashes as ids, event names, a default currency; and no empty ids and currencies."""
    allowed = plan.mapping.values.get(field.name)
    if field.name == "currency":
        value = pl.when(value.str.contains(f"^{CURRENCY}$")).then(value.str.to_uppercase()).otherwise(value)
    if allowed:
        check = check & (value.is_in(list(allowed)) | value.is_null())
    if field.name in NOTHING_IF_EMPTY:
        value = pl.when(value != "").then(value)
    if field.name == "event_type" and plan.mapping.event_types:
        return value.replace(dict(plan.mapping.event_types)), check
    if field.name == "currency" and plan.mapping.default_currency:
        return value.fill_null(plan.mapping.default_currency), check
    if field.name == "event_id" and batch.content is not None:
        inputs["_content"] = batch.content
        absent = pl.col(f"{field.name}.text").is_null() if field.name in batch.cells else value.is_null()
        return pl.when(absent).then(row_id("_content")).otherwise(value), check | absent
    return value, check


def _constant(field: Field, cell: Cell, plan: Plan) -> tuple[pl.Expr, pl.Expr]:
    """The same value in every row; a constant that is none of the field's kind leaves all rows to `decode_row`."""
    try:
        check_size(cell.text)
        value = CONVERSIONS[field.kind].exact(cell, plan.readings[field.name])
    except BrokenRule:
        return pl.lit(None, DTYPES[field.kind]), pl.lit(value=False)
    if field.kind is Kind.TIME:
        return _utc(pl.lit(value, pl.Int64)), pl.lit(value=True)
    return pl.lit(value, DTYPES[field.kind]), pl.lit(value != "")


def _utc(ms: pl.Expr) -> pl.Expr:
    return ms.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
