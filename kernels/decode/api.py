"""The ways in: rows of any of three forms to events and dead letters."""

from enum import StrEnum

import polars as pl

from ecompulse.kernels.decode.assemble import Decoded, assemble
from ecompulse.kernels.decode.csv_rows import csv_batch, csv_rows
from ecompulse.kernels.decode.json_rows import few_json_rows, json_batch, json_rows
from ecompulse.kernels.decode.nested.decoding import decode_nested
from ecompulse.kernels.decode.nested.rows import Rows
from ecompulse.kernels.decode.plan import plan_for
from ecompulse.kernels.decode.rules import Rule
from ecompulse.kernels.decode.typed_rows import typed_batch, typed_rows
from ecompulse.kernels.event import (
    DEAD_LETTER_SCHEMA,
    FAULT,
    HEADER,
    LENGTH,
    PAYLOAD_FAULT,
    RAW_SCHEMA,
    SCHEMA_ID,
    TIME,
)
from ecompulse.kernels.foreign.shape import TOMBSTONES
from ecompulse.kernels.mapping import Mapping

FEW = 50
"""Rows that are judged one by one: columns cost ten milliseconds, however few rows they have."""


class Form(StrEnum):
    """How the rows of a frame are written."""

    JSON = "json"
    CSV = "csv"
    COLUMNS = "columns"
    FAULTS = "faults"


def decode(rows: pl.DataFrame, now_ms: int, mapping: Mapping | None = None, form: Form | None = None) -> Decoded:
    """Events and dead letters of a frame in the form that it has, or that `form` says it has.

    `RAW_SCHEMA` is JSON; with a column `header` more it is CSV; anything else is columns.
    """
    if mapping and TOMBSTONES in mapping.skip and rows.schema.get("raw") == pl.Binary and rows["raw"].null_count():
        valued = rows.filter(pl.col("raw").is_not_null())
        decoded = decode(valued, now_ms, mapping, form)
        return decoded._replace(skipped=decoded.skipped + rows.height - valued.height)
    told = SCHEMA_ID in rows.columns
    plain = rows.drop(SCHEMA_ID) if told else rows
    decoded = _decoded(plain, now_ms, mapping, form or form_of(plain))
    return _naming_schemas(decoded, rows) if told and decoded.dead.height else decoded


def _naming_schemas(decoded: Decoded, rows: pl.DataFrame) -> Decoded:
    """Messages of dead letters say by which schema they were written."""
    place = ["source", "source_partition", "source_offset"]
    schemas = decoded.dead.join(rows.select(*place, SCHEMA_ID), on=place, how="left", maintain_order="left")[SCHEMA_ID]
    said = decoded.dead.with_columns(message=pl.concat_str("message", pl.lit(" (schema "), schemas, pl.lit(")")))
    bare = pl.select(pl.concat_str(decoded.bare, pl.lit(" (schema "), schemas, pl.lit(")"))).to_series().alias("bare")
    return decoded._replace(dead=said, bare=bare)


def _decoded(rows: pl.DataFrame, now_ms: int, mapping: Mapping | None, form: Form) -> Decoded:
    if form is Form.JSON:
        return decode_json(rows, now_ms, mapping)
    if form is Form.CSV:
        if rows.is_empty():
            return _nothing(rows, now_ms, mapping)
        return decode_csv(rows, rows[HEADER][0], now_ms, mapping)
    if form is Form.FAULTS:
        return _faults(rows, now_ms, mapping)
    return decode_columns(rows, now_ms, mapping)


def rows_of(rows: pl.DataFrame, mapping: Mapping) -> Rows:
    """A frame in the form that it has, before anything is taken of its rows."""
    form = form_of(rows)
    plan = plan_for(mapping, 0, typed=form is Form.JSON)
    if form is Form.JSON:
        return json_rows(rows, plan)
    return csv_rows(rows, rows[HEADER][0], plan) if form is Form.CSV else typed_rows(rows, plan)[0]


def form_of(rows: pl.DataFrame) -> Form:
    """The form of a frame, by its columns."""
    if set(rows.columns) in ({*RAW_SCHEMA, FAULT}, {*RAW_SCHEMA, PAYLOAD_FAULT}):
        return Form.FAULTS
    if rows.schema.get("raw") != pl.Binary or set(rows.columns) - {*RAW_SCHEMA, HEADER, LENGTH}:
        return Form.COLUMNS
    return Form.CSV if HEADER in rows.columns else Form.JSON


def decode_json(rows: pl.DataFrame, now_ms: int, mapping: Mapping | None = None) -> Decoded:
    """Decode rows (`RAW_SCHEMA`) of one JSON object each.

    Never raises on what the rows hold. Without a mapping they are events, and fields must have their JSON
    type; `now_ms` (UTC) bounds event_time and dates the dead letters.
    """
    plan = plan_for(mapping, now_ms, typed=True)
    if plan.mapping.nested:
        return decode_nested(json_rows(rows, plan), plan)
    batch = few_json_rows if rows.height <= FEW else json_batch
    return assemble(batch(rows, plan), plan)


def decode_csv(rows: pl.DataFrame, header: str, now_ms: int, mapping: Mapping | None = None) -> Decoded:
    """Decode rows (`RAW_SCHEMA`) of one CSV record each (RFC 4180), the header (`dialect.marked`) not among them.

    An empty cell is absent; text that parses is a number; `properties` holds the text of a JSON object.
    """
    plan = plan_for(mapping, now_ms, typed=False)
    if plan.mapping.nested:
        return decode_nested(csv_rows(rows, header, plan), plan)
    return assemble(csv_batch(rows, header, plan), plan)


def decode_columns(rows: pl.DataFrame, now_ms: int, mapping: Mapping | None = None) -> Decoded:
    """Decode rows of typed columns beside those of `POSITION_SCHEMA`.

    Times without a zone need the mapping's. The raw form of a dead letter is the row's JSON object.
    """
    plan = plan_for(mapping, now_ms, typed=False)
    if plan.mapping.nested:
        return decode_nested(*typed_rows(rows, plan))
    batch, plan = typed_batch(rows, plan)
    return assemble(batch, plan)


def _faults(rows: pl.DataFrame, now_ms: int, mapping: Mapping | None) -> Decoded:
    """Rows that stand for files which cannot be read, and messages that are none of their schema: dead letters all."""
    column, rule = (FAULT, Rule.UNREADABLE_FILE) if FAULT in rows.columns else (PAYLOAD_FAULT, Rule.BROKEN_PAYLOAD)
    dead = rows.with_columns(
        pl.lit(rule.value).alias("rule"),
        pl.col(column).alias("message"),
        pl.lit(now_ms, pl.Int64).cast(TIME).alias("seen_at"),
    )
    times = pl.Series([None] * rows.height, dtype=TIME)
    events = _nothing(rows, now_ms, mapping).events
    # What a reader trips over may be a value.
    bare = rows[column].str.replace("(?s)^(schema [^:]+): .*$", "${1}: cannot be read by it")
    return Decoded(events, dead.select(DEAD_LETTER_SCHEMA.names()), times, bare)


def _nothing(rows: pl.DataFrame, now_ms: int, mapping: Mapping | None) -> Decoded:
    """No rows."""
    return decode_json(rows.select(RAW_SCHEMA.names()).clear(), now_ms, mapping)
