"""Columns of cells sorted into fields of the event, unknown fields and `properties`."""

import json
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.decode.batch import all_of
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.plan import PROPERTIES, Plan
from ecompulse.kernels.decode.strict_json import canonical_again

_TO_ESCAPE: Final = r'["\\\x00-\x1f]'


@dataclass
class Routed:
    """Where the columns of a batch went.

    Attributes:
        suspects: rows whose `properties` is text that is certain to be no object, or not certain to be one.
        cells: by event field.
        unknown: JSON text by key.
        properties: JSON text, or None.
    """

    suspects: pl.Series
    cells: dict[str, Cells] = field(default_factory=dict)
    unknown: dict[str, pl.Series] = field(default_factory=dict)
    properties: pl.Series | None = None


def route_columns(columns: dict[str, Cells], plan: Plan) -> Routed:
    """The columns of rows that have no JSON types, by what the mapping makes of them."""
    height = next(iter(columns.values())).text.len() if columns else 0
    result = Routed(suspects=all_of(False, height))
    for name, cells in columns.items():
        target = plan.sources.get(name)
        if name in plan.mapping.drop:
            continue
        if target == PROPERTIES:
            result.properties = _objects_in_text(cells)
            result.suspects |= cells.text.is_not_null() & result.properties.is_null()
        elif target is None:
            result.unknown[name] = json_text(cells)
        else:
            result.cells[target] = cells
    return result


def json_text(cells: Cells) -> pl.Series:
    """Cells as JSON text, null where absent."""
    text, quoted = pl.col("text"), pl.col("quoted")
    frame = pl.DataFrame({"text": cells.text, "quoted": cells.quoted})
    odd = frame.filter(quoted & text.str.contains(_TO_ESCAPE))["text"].unique()
    simple = pl.when(quoted).then(pl.lit('"') + text + pl.lit('"')).otherwise(text)
    if odd.is_empty():
        return frame.select(simple).to_series()
    escaped = pl.Series([json.dumps(value, ensure_ascii=False) for value in odd], dtype=pl.String)
    is_odd = quoted & text.str.contains(_TO_ESCAPE)
    mapped = text.replace_strict(odd, escaped, default=None, return_dtype=pl.String)
    return frame.select(pl.when(is_odd).then(mapped).otherwise(simple)).to_series()


def _objects_in_text(cells: Cells) -> pl.Series:
    """The JSON objects that cells hold, canonical; null where there is none or it is not certain."""
    distinct = cells.text.drop_nulls().unique()
    again = [canonical_again(text) for text in distinct]
    objects = pl.Series([text if text and text[0] == "{" else None for text in again], dtype=pl.String)
    return cells.text.replace_strict(distinct, objects, default=None, return_dtype=pl.String)
