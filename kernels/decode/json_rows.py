"""JSON rows as columns of cells."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import polars as pl

from ecompulse.kernels.decode import duckdb_json, native
from ecompulse.kernels.decode.batch import Batch, all_of
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.nested.rows import Rows
from ecompulse.kernels.decode.object_members import members_of
from ecompulse.kernels.decode.plan import PROPERTIES, Plan
from ecompulse.kernels.decode.properties import canonical
from ecompulse.kernels.decode.row_decoder import Record, record_of
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.decode.strict_json import parse
from ecompulse.kernels.event import LENGTH, MAX_ROW_BYTES, POSITION_SCHEMA

# DuckDB takes trailing commas, and the separator of signatures must not come out of an escape.
ODD: Final = r",[ \t\r\n]*[}\]]|\\u001[fF]"


def json_batch(rows: pl.DataFrame, plan: Plan) -> Batch:
    """The batch of rows (`RAW_SCHEMA`) with one JSON object each."""
    if native.scans(plan):
        found = native.scan(rows["raw"], plan)
        content = utf8(rows["raw"]) if plan.hashes_ids else None
        return replace(few_json_rows(rows, plan), content=content, **found._asdict())
    return pure_json_batch(rows, plan)


def pure_json_batch(rows: pl.DataFrame, plan: Plan) -> Batch:
    """The same by DuckDB and Polars: the definition."""
    text, believed, odd = _believed(rows)
    found = members_of(believed, keep_null=False)
    suspects = odd | found.suspects
    texts: dict[str, pl.Series] = {}
    unknown: dict[str, pl.Series] = {}
    properties = None
    for key, column in found.columns.items():
        field = plan.sources.get(key)
        if key in plan.mapping.drop:
            suspects |= ~canonical(column)[1]  # what is dropped must be JSON, too
            continue
        if field == PROPERTIES:
            properties = column
        elif field is None:
            unknown[key] = column
        else:
            texts[field] = column

    return replace(
        few_json_rows(rows, plan),
        cells=cells_of(texts, believed.str.contains("\\", literal=True)),
        unknown=unknown,
        properties=properties,
        suspects=suspects,
        content=text if plan.hashes_ids else None,
    )


def json_rows(rows: pl.DataFrame, plan: Plan) -> Rows:
    """The same before anything is taken of the rows."""
    text, believed, odd = _believed(rows)
    found = members_of(believed, keep_null=False)
    names = plan.mapping.sources()
    return Rows(
        positions=rows.select(POSITION_SCHEMA.names()),
        columns=found.columns,
        suspects=odd | found.suspects,
        values=lambda row: dict(parse(checked_text(rows, row), object_only=True, names=names)),
        raw=rows["raw"].gather,
        content=lambda: text,
    )


def _believed(rows: pl.DataFrame) -> tuple[pl.Series, pl.Series, pl.Series]:
    """The text of rows, the same where it may be believed, and where not."""
    raw = rows["raw"]
    text = utf8(raw)
    odd = text.is_null() | (raw.bin.size() > MAX_ROW_BYTES) | text.str.contains(ODD)
    odd = odd.fill_null(value=True)
    return text, text.to_frame("text").select(pl.when(~odd).then("text")).to_series(), odd


def few_json_rows(rows: pl.DataFrame, plan: Plan) -> Batch:
    """The same without columns: each row is for `record`, which is quicker while there are few."""
    raw = rows["raw"]

    def record(row: int) -> Record:
        content = checked_text(rows, row)
        return record_of(parse(content, object_only=True, names=plan.sources), content, plan)

    return Batch(
        positions=rows.select(POSITION_SCHEMA.names()),
        cells={},
        unknown={},
        properties=None,
        suspects=all_of(value=True, height=rows.height),
        record=record,
        raw=raw.gather,
        content=None,
    )


def utf8(raw: pl.Series) -> pl.Series:
    """Binary as String; null where it is not UTF-8."""
    try:
        return raw.cast(pl.String)
    except pl.exceptions.PolarsError:
        return duckdb_json.decode_utf8(raw)


def checked_text(rows: pl.DataFrame, row: int) -> str:
    """The text of one of the rows (`RAW_SCHEMA`).

    Raises:
        BrokenRule: row_too_large, invalid_utf8.
    """
    raw: bytes = rows["raw"][row] or b""
    if len(raw) > MAX_ROW_BYTES:
        length = rows[LENGTH][row] if LENGTH in rows.columns else len(raw)
        raise BrokenRule(Rule.ROW_TOO_LARGE, f"the row has {length} bytes, more than {MAX_ROW_BYTES}")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        near = raw[max(error.start - 20, 0) : error.start + 20].decode("latin-1")
        raise BrokenRule(Rule.INVALID_UTF8, f"byte {error.start} is not UTF-8, near {{}}", near) from None


def cells_of(texts: Mapping[str, pl.Series], escaped: pl.Series | None = None) -> dict[str, Cells]:
    """Cells of JSON text; `escaped`: rows with a backslash somewhere."""
    columns = pl.DataFrame(dict(texts))
    if not columns.width:
        return {}
    quoted = columns.select(pl.all().str.starts_with('"').fill_null(value=False))
    bare = columns.select(pl.all().str.strip_chars('"'))
    among = columns if escaped is None else columns.filter(escaped)
    backslash = among.select(pl.all().str.contains("\\", literal=True).any())
    return {
        name: Cells(duckdb_json.unescaped(columns[name]) if backslash[name][0] else bare[name], quoted[name])
        for name in columns.columns
    }
