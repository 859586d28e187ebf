"""CSV records as columns of cells."""

import csv
import io
import re
from typing import Final

import polars as pl

from ecompulse.kernels.decode.batch import Batch, all_of
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.json_rows import checked_text, utf8
from ecompulse.kernels.decode.judge import Record, record_of
from ecompulse.kernels.decode.plan import Plan
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.decode.sorting import sort_columns
from ecompulse.kernels.event import MAX_ROW_BYTES, POSITION_SCHEMA

_QUOTED: Final = r'"(?:[^"]|"")*"'
_ROW: Final = "_row"


def column_names(header: str, delimiter: str = ",") -> list[str]:
    """The columns of a header line, each of another name: whatever it says, its rows are read.

    Columns without a name are called by their number (`column_3` is the third), those of a name that an earlier one has
    get a number after it (`price_2`).
    """
    line = header.removeprefix("\ufeff")
    try:
        given = _fields(line, delimiter, strict=False)
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


def csv_batch(rows: pl.DataFrame, header: str, plan: Plan, delimiter: str = ",") -> Batch:
    """The batch of rows (`RAW_SCHEMA`) with one record each, without the header. An empty cell is absent."""
    names = column_names(header, delimiter)
    raw = rows["raw"]
    text = utf8(raw).str.strip_suffix("\n").str.strip_suffix("\r")
    small = raw.bin.size().fill_null(0) <= MAX_ROW_BYTES
    plain, quoted = _shapes(text, len(names), delimiter)
    columns = _columns(text, plain & small, quoted & small, len(names), delimiter)
    everywhere = all_of(True, rows.height)
    source = {name: Cells(column, everywhere) for name, column in zip(names, columns, strict=True)}
    sorted_out = sort_columns(source, plan)

    def record(row: int) -> Record:
        content = checked_text(rows, row)
        return record_of(_exact(content, names, delimiter), content, plan)

    return Batch(
        positions=rows.select(POSITION_SCHEMA.names()),
        cells=sorted_out.cells,
        unknown=sorted_out.unknown,
        properties=sorted_out.properties,
        suspects=~((plain | quoted) & small) | sorted_out.suspects,
        record=record,
        raw=raw.gather,
        content=utf8(raw) if plan.hashes_ids else None,
    )


def _shapes(text: pl.Series, width: int, delimiter: str) -> tuple[pl.Series, pl.Series]:
    """Rows without quotes, and rows well quoted; both with the right number of columns."""
    bare = text.str.contains('"', literal=True)
    split = pl.col("t").str.count_matches(delimiter, literal=True) == width - 1
    lines = pl.col("t").str.contains(r"[\r\n]")
    plain = text.to_frame("t").select(split & ~lines & ~pl.lit(bare)).to_series().fill_null(value=False)
    if not bare.any():
        return plain, all_of(False, text.len())
    separator = re.escape(delimiter)
    field = rf'(?:[^"\r\n{separator}]*|{_QUOTED})'
    well = text.str.contains(f"^{field}(?:{separator}{field})*$") & bare
    without = text.str.replace_all(_QUOTED, "").str.count_matches(delimiter, literal=True) == width - 1
    return plain, (well & without).fill_null(value=False)


def _columns(text: pl.Series, plain: pl.Series, quoted: pl.Series, width: int, delimiter: str) -> list[pl.Series]:
    names = [f"c{number}" for number in range(width)]
    kept = text.to_frame("t").select(pl.when(plain).then("t")).to_series()
    parts = kept.str.split_exact(delimiter, width - 1).struct.rename_fields(names).struct.unnest()
    if quoted.any():
        rows = pl.int_range(text.len(), eager=True, dtype=pl.Int64).alias(_ROW)
        numbered = parts.with_columns(rows).filter(~quoted)
        read = _read_quoted(text.filter(quoted), names, delimiter).with_columns(rows.filter(quoted))
        parts = pl.concat([numbered, read]).sort(_ROW).drop(_ROW)
    empty = pl.all() == ""
    return parts.select(pl.when(~empty).then(pl.all())).get_columns()


def _read_quoted(text: pl.Series, names: list[str], delimiter: str) -> pl.DataFrame:
    """Columns of well quoted records, by the CSV reader of Polars."""
    data = "\n".join(text).encode()
    return pl.read_csv(
        io.BytesIO(data),
        has_header=False,
        new_columns=names,
        separator=delimiter,
        schema_overrides=dict.fromkeys(names, pl.String),
        infer_schema=False,
    )


def _exact(content: str, names: list[str], delimiter: str) -> dict[str, str | None]:
    """The cells of one record by column; None for an empty one.

    Raises:
        BrokenRule: broken_csv, field_too_large.
    """
    try:
        values = _fields(content.removesuffix("\n").removesuffix("\r"), delimiter, strict=True)
    except csv.Error as error:
        rule = Rule.FIELD_TOO_LARGE if "field larger" in str(error) else Rule.BROKEN_CSV
        raise BrokenRule(rule, f"{{}}: {error}", content) from None
    if len(values) != len(names):
        raise BrokenRule(Rule.BROKEN_CSV, f"{{}} has {len(values)} columns, the header {len(names)}", content)
    return {name: value or None for name, value in zip(names, values, strict=True)}


def _fields(line: str, delimiter: str, *, strict: bool) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, strict=strict), [""]) or [""]
