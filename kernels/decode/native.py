"""JSON rows to columns in one pass over their bytes, by `ecompulse_native` where that is installed (`make native`).

The way without it (`json_rows`) is the definition: a pass gives what that gives, or leaves the row as a suspect.
"""

import logging
import os
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa

from ecompulse.kernels.decode.batch import nothing
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.plan import PROPERTIES, Plan
from ecompulse.kernels.decode.times import screen_time
from ecompulse.kernels.event import MAX_FIELD_BYTES, MAX_ROW_BYTES

try:
    import ecompulse_native
except ImportError:
    INTERFACE = 0
else:
    INTERFACE = ecompulse_native.INTERFACE

_KNOWN: Final = 1
if INTERFACE not in {0, _KNOWN}:
    logging.getLogger(__name__).warning("ecompulse_native is of another version: rows are decoded without it")

SWITCH: Final = "ECOMPULSE_NATIVE"
"""Environment variable: with 0 rows are decoded as if the module were not installed."""

_TIME: Final = "event_time"


class Scanned(NamedTuple):
    """What a pass found.

    Attributes:
        cells: by event field; one that no row has is left out.
        merged: unknown fields and the members of `properties` as canonical JSON; null where there is nothing.
        suspects: rows of which the columns say nothing.
        known: event times, if the pass reads any; null where the time is not certain.
    """

    cells: dict[str, Cells]
    merged: pl.Series
    suspects: pl.Series
    known: dict[str, pl.Series]


def scans(plan: Plan) -> bool:
    """Whether rows are scanned by this plan: the module is there, and no two keys feed a field."""
    wanted = INTERFACE == _KNOWN and os.environ.get(SWITCH) != "0"
    return wanted and len(set(plan.sources.values())) == len(plan.sources)


def scan(raw: pl.Series, plan: Plan) -> Scanned:
    """Scan rows (Binary) of one JSON object each."""
    keys = {field: key for key, field in plan.sources.items()}
    given = keys.pop(PROPERTIES, None)
    height = len(raw)
    rows = raw.to_arrow()
    validity, offsets, data = (None if part is None else part.to_pybytes() for part in rows.buffers())
    columns, merged, times, suspects = ecompulse_native.scan_rows(
        (validity, offsets or bytes(8), data or b""),
        (rows.offset, height),
        list(keys.values()),
        list(plan.mapping.drop),
        (given, list(keys).index(_TIME) if _reads_plainly(plan) and _TIME in keys else None),
        (MAX_ROW_BYTES, MAX_FIELD_BYTES),
    )
    found = {name: column for name, column in zip(keys, columns, strict=True) if column}
    cells = {name: Cells(_text(column, height), _bits(column[3], height)) for name, column in found.items()}
    return Scanned(
        cells,
        _text(merged, height) if merged else nothing(height),
        _bits(suspects, height),
        {_TIME: _times(times, cells[_TIME], plan)} if times and times[2] else {},
    )


def _reads_plainly(plan: Plan) -> bool:
    """Whether text of ISO 8601 with a zone is the time that it tells, whatever else the mapping says of times."""
    reading = plan.readings[_TIME]
    return reading.preparation is None and reading.time.format is None


def _times(times: "ecompulse_native.Times", cells: Cells, plan: Plan) -> pl.Series:
    """Times that were read, and of the other cells those that a screen lets pass."""
    values, validity, count = times
    height = len(cells.text)
    buffers = [pa.py_buffer(validity), pa.py_buffer(values)]
    found = pl.Series(pa.Array.from_buffers(pa.int64(), height, buffers)).cast(pl.Datetime("ms"))
    found = found.dt.replace_time_zone("UTC")
    if count + cells.text.null_count() == height:
        return found
    left = (found.is_null() & cells.text.is_not_null()).arg_true()
    value, certain = screen_time(pl.col("text"), pl.col("quoted"), plan.readings[_TIME])
    others = pl.DataFrame({"text": cells.text.gather(left), "quoted": cells.quoted.gather(left)})
    return found.scatter(left, others.select(pl.when(certain).then(value)).to_series())


def _text(column: "ecompulse_native.Column", height: int) -> pl.Series:
    """A String column of its buffers, which are not copied."""
    views, data, validity, _ = column
    buffers = [None if validity is None else pa.py_buffer(validity), pa.py_buffer(views)]
    buffers += [pa.py_buffer(data)] if data else []
    return pl.Series(pa.Array.from_buffers(pa.string_view(), height, buffers))


def _bits(bits: bytes, height: int) -> pl.Series:
    """A Boolean column without nulls."""
    return pl.Series(pa.Array.from_buffers(pa.bool_(), height, [None, pa.py_buffer(bits)]))
