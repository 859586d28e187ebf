"""JSON rows to columns in one pass over their bytes, by `ecompulse_native` where that is installed (`make native`).

The way without it (`json_rows`) is the definition: a pass gives what that gives, or leaves the row as a suspect.
"""

import os
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa

from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.plan import PROPERTIES, Plan
from ecompulse.kernels.event import MAX_FIELD_BYTES, MAX_ROW_BYTES

try:
    import ecompulse_native
except ImportError:
    INTERFACE = 0
else:
    INTERFACE = ecompulse_native.INTERFACE

SWITCH: Final = "ECOMPULSE_NATIVE"
"""Environment variable: with 0 rows are decoded as if the module were not installed."""

_KNOWN: Final = 1


class Scanned(NamedTuple):
    """What a pass found.

    Attributes:
        cells: by event field; one that no row has is left out.
        merged: unknown fields and the members of `properties` as canonical JSON; null where there is nothing.
        suspects: rows of which the columns above say nothing.
    """

    cells: dict[str, Cells]
    merged: pl.Series
    suspects: pl.Series


def scans(plan: Plan) -> bool:
    """Whether rows are scanned by this plan: the module is there, and no two keys feed a field."""
    wanted = INTERFACE == _KNOWN and os.environ.get(SWITCH) != "0"
    return wanted and len(set(plan.sources.values())) == len(plan.sources)


def scan(raw: pl.Series, plan: Plan) -> Scanned:
    """Scan rows (Binary) of one JSON object each."""
    fields = {key: field for key, field in plan.sources.items() if field != PROPERTIES}
    given = next((key for key, field in plan.sources.items() if field == PROPERTIES), None)
    rows = raw.to_arrow()
    validity, offsets, data = (None if part is None else part.to_pybytes() for part in rows.buffers())
    columns, merged, suspects = ecompulse_native.scan_rows(
        (validity, offsets or bytes(8), data or b""),
        (rows.offset, len(rows)),
        list(fields),
        list(plan.mapping.drop),
        given,
        (MAX_ROW_BYTES, MAX_FIELD_BYTES),
    )
    found = zip(fields.values(), columns, strict=True)
    return Scanned(
        {name: Cells(_text(column, len(raw)), _bits(column[3], len(raw))) for name, column in found if column},
        _text(merged, len(raw)) if merged else pl.repeat(None, len(raw), dtype=pl.String, eager=True),
        _bits(suspects, len(raw)),
    )


def _text(column: "ecompulse_native.Column", height: int) -> pl.Series:
    """A String column of its buffers, which are not copied."""
    views, data, validity, _ = column
    buffers = [None if validity is None else pa.py_buffer(validity), pa.py_buffer(views)]
    buffers += [pa.py_buffer(data)] if data else []
    return pl.Series(pa.Array.from_buffers(pa.string_view(), height, buffers))


def _bits(bits: bytes, height: int) -> pl.Series:
    """A Boolean column without nulls."""
    return pl.Series(pa.Array.from_buffers(pa.bool_(), height, [None, pa.py_buffer(bits)]))
