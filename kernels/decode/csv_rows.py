"""CSV records as columns of cells."""

import csv
import io
import re
from typing import Final, NamedTuple, Self

import polars as pl

from ecompulse.kernels.decode.batch import Batch, all_of
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.json_rows import checked_text, utf8
from ecompulse.kernels.decode.nested.rows import Rows
from ecompulse.kernels.decode.plan import Plan
from ecompulse.kernels.decode.routing import json_text, route_columns
from ecompulse.kernels.decode.row_decoder import Record, record_of
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.event import MAX_ROW_BYTES, POSITION_SCHEMA
from ecompulse.kernels.foreign.dialect import unmarked

_ROW: Final = "_row"
_MARK: Final = "\ufeff"
"""Byte order mark."""


class Written(NamedTuple):
    """How the records of a batch are written.

    Attributes:
        names: of the columns.
        delimiter: between cells.
        quote: around them; none = a quote is a character like any other.
    """

    names: list[str]
    delimiter: str
    quote: str | None

    @classmethod
    def of(cls, header: str) -> Self:
        """What a header says (`dialect.marked`)."""
        return cls(column_names(header), *unmarked(header)[1:])


def column_names(header: str) -> list[str]:
    """The columns of a header line (`dialect.marked`), each of another name: whatever it says, its rows are read.

    Columns without a name are called by their number (`column_3` is the third), those of a name that an earlier one has
    get a number after it (`price_2`).
    """
    line, delimiter, quote = unmarked(header.removeprefix(_MARK))
    try:
        given = _fields(line, delimiter, quote, strict=False)
    except csv.Error:  # a name longer than any cell
        given = line.split(delimiter)
    names: list[str] = []
    taken, turns, seen = set(given), dict[str, int](), set[str]()
    for number, name in enumerate(given, start=1):
        new = plain = name or f"column_{number}"
        if not name or name in seen:
            while new in taken:
                turns[plain] = turns.get(plain, 1) + 1
                new = f"{plain}_{turns[plain]}"
        seen.add(name)
        taken.add(new)
        names.append(new)
    return names


def csv_batch(rows: pl.DataFrame, header: str, plan: Plan) -> Batch:
    """The batch of rows (`RAW_SCHEMA`) with one record each, without the header. An empty cell is absent."""
    form, nulls = Written.of(header), plan.mapping.format.nulls
    source, suspects = _cells(rows, form, nulls)
    sorted_out = route_columns(source, plan)

    def record(row: int) -> Record:
        content = checked_text(rows, row)
        return record_of(_exact(content, form, nulls), content, plan)

    return Batch(
        positions=rows.select(POSITION_SCHEMA.names()),
        cells=sorted_out.cells,
        unknown=sorted_out.unknown,
        properties=sorted_out.properties,
        suspects=suspects | sorted_out.suspects,
        record=record,
        raw=rows["raw"].gather,
        content=utf8(rows["raw"]) if plan.hashes_ids else None,
    )


def csv_rows(rows: pl.DataFrame, header: str, plan: Plan) -> Rows:
    """The same before anything is taken of the rows."""
    form, nulls = Written.of(header), plan.mapping.format.nulls
    source, suspects = _cells(rows, form, nulls)
    return Rows(
        positions=rows.select(POSITION_SCHEMA.names()),
        columns={name: json_text(cells) for name, cells in source.items()},
        suspects=suspects,
        values=lambda row: dict(_exact(checked_text(rows, row), form, nulls)),
        raw=rows["raw"].gather,
        content=lambda: utf8(rows["raw"]),
    )


def _cells(rows: pl.DataFrame, form: Written, nulls: tuple[str, ...]) -> tuple[dict[str, Cells], pl.Series]:
    """The cells of each column, and rows that are not certain to have them."""
    raw = rows["raw"]
    text = utf8(raw).str.strip_suffix("\n").str.strip_suffix("\r")
    small = raw.bin.size().fill_null(0) <= MAX_ROW_BYTES
    plain, quoted = _shapes(text, form)
    columns = _columns(text, plain & small, quoted & small, form, nulls)
    everywhere = all_of(True, rows.height)
    cells = {name: Cells(column, everywhere) for name, column in zip(form.names, columns, strict=True)}
    return cells, ~((plain | quoted) & small)


def _shapes(text: pl.Series, form: Written) -> tuple[pl.Series, pl.Series]:
    """Rows without quotes, and rows well quoted; both with the right number of columns."""
    width, quote = len(form.names), form.quote
    bare = text.str.contains(quote, literal=True) if quote else all_of(False, text.len())
    split = pl.col("t").str.count_matches(form.delimiter, literal=True) == width - 1
    lines = pl.col("t").str.contains(r"[\r\n]")
    plain = text.to_frame("t").select(split & ~lines & ~pl.lit(bare)).to_series().fill_null(value=False)
    if not quote or not bare.any():
        return plain, all_of(False, text.len())
    separator, mark = re.escape(form.delimiter), re.escape(quote)
    cell = f"{mark}(?:[^{mark}]|{mark}{mark})*{mark}"
    field = rf"(?:[^{mark}\r\n{separator}]*|{cell})"
    well = text.str.contains(f"^{field}(?:{separator}{field})*$") & bare
    well &= ~text.str.starts_with(_MARK)  # Polars would take it for that of a file, if the row is the first
    without = text.str.replace_all(cell, "").str.count_matches(form.delimiter, literal=True) == width - 1
    return plain, (well & without).fill_null(value=False)


def _columns(
    text: pl.Series, plain: pl.Series, quoted: pl.Series, form: Written, nulls: tuple[str, ...]
) -> list[pl.Series]:
    width = len(form.names)
    names = [f"c{number}" for number in range(width)]
    kept = text.to_frame("t").select(pl.when(plain).then("t")).to_series()
    parts = kept.str.split_exact(form.delimiter, width - 1).struct.rename_fields(names).struct.unnest()
    if quoted.any():
        rows = pl.int_range(text.len(), eager=True, dtype=pl.Int64).alias(_ROW)
        numbered = parts.with_columns(rows).filter(~quoted)
        read = _read_quoted(text.filter(quoted), names, form).with_columns(rows.filter(quoted))
        parts = pl.concat([numbered, read]).sort(_ROW).drop(_ROW)
    empty = pl.all().is_in(["", *nulls]) if nulls else pl.all() == ""
    return parts.select(pl.when(~empty).then(pl.all())).get_columns()


def _read_quoted(text: pl.Series, names: list[str], form: Written) -> pl.DataFrame:
    """Columns of well quoted records, by the CSV reader of Polars."""
    data = "\n".join(text).encode()
    return pl.read_csv(
        io.BytesIO(data),
        has_header=False,
        new_columns=names,
        separator=form.delimiter,
        quote_char=form.quote,
        schema_overrides=dict.fromkeys(names, pl.String),
        infer_schema=False,
    )


def _exact(content: str, form: Written, nulls: tuple[str, ...]) -> dict[str, str | None]:
    """The cells of one record by column; None for an empty one.

    Raises:
        BrokenRule: broken_csv, field_too_large.
    """
    try:
        values = _fields(content.removesuffix("\n").removesuffix("\r"), form.delimiter, form.quote, strict=True)
    except csv.Error as error:
        rule = Rule.FIELD_TOO_LARGE if "field larger" in str(error) else Rule.BROKEN_CSV
        raise BrokenRule(rule, f"{{}}: {error}", content) from None
    if len(values) != len(form.names):
        raise BrokenRule(Rule.BROKEN_CSV, f"{{}} has {len(values)} columns, the header {len(form.names)}", content)
    return {name: None if value in nulls else value or None for name, value in zip(form.names, values, strict=True)}


def _fields(line: str, delimiter: str, quote: str | None, *, strict: bool) -> list[str]:
    if quote is None:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter, quotechar=quote, strict=strict), [""]) or [""]
