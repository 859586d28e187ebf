"""Update streams of the user and product steps: changes become versions, versions become columns.

A change is a row with the step's key, `updated_at` (as event_time may be written) and the columns that the step
declares. It is decoded by the rules of events: what breaks one is a dead letter.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from ecompulse.kernels.decode import duckdb_json
from ecompulse.kernels.enrich.column_values import fit, lost, read_text
from ecompulse.kernels.enrich.lookup import ProductStep, UserStep, prefixed
from ecompulse.kernels.enrich.pii import VERSION_PREFIX
from ecompulse.kernels.enrich.status import MALFORMED, NO_KEY, NOT_FOUND, OFF
from ecompulse.kernels.enrich.step import status_column
from ecompulse.kernels.event import EVENT_SCHEMA, ORDER
from ecompulse.kernels.mapping import Mapping as FieldMapping
from ecompulse.kernels.temporal_join import FOUND, NO_VERSION
from ecompulse.kernels.temporal_join import NO_KEY as NOTHING_ASKED

VERSION: Final = "version"
"""Status of a row whose columns come from a version in force at its event time, not from the look-up."""

KEYS: Final = {step.name: step.key for step in (UserStep, ProductStep)}
"""Steps that may have an update stream, and what they look up by."""

_JSON: Final = "\x00json "
_TEXT: Final = "\x00text "
"""Before the names of columns that hold what stands in `properties` under these names."""


def change_mapping(step: str) -> FieldMapping:
    """How a change of a step is read as an event, so that the same rules decode it."""
    other = {} if step == "user" else {"anonymous_id": step}
    return FieldMapping(
        fields={"event_time": "updated_at"}, constants={"event_type": f"{step}_update", **other}, event_id="hash"
    )


def version_columns(columns: Mapping[str, pl.DataType], step: str) -> pl.Schema:
    """Columns of a version as they travel beside events: `version_user_tier`, and whether one of them is malformed."""
    named = prefixed(pl.Schema(columns), f"{step}_")
    return pl.Schema({**{f"{VERSION_PREFIX}{name}": dtype for name, dtype in named.items()}, _bad(step): pl.Boolean()})


def to_versions(changes: pl.DataFrame, step: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Decoded changes (FRAME_SCHEMA) as versions: the key, ORDER, and `version_columns`.

    A column is taken from the event's field of that name, else from `properties`, and read as a look-up reads it: what
    does not fit its type is null, and the version malformed.
    """
    inner = [name for name in columns if name not in EVENT_SCHEMA]
    members = duckdb_json.members(changes["properties"], inner)
    found = changes.with_columns(
        *(member.alias(f"{_JSON}{name}") for name, member in zip(inner, members, strict=True)),
        *(duckdb_json.unescaped(member).alias(f"{_TEXT}{name}") for name, member in zip(inner, members, strict=True)),
    )
    read = [_read(name, dtype) for name, dtype in columns.items()]
    bad = pl.any_horizontal(pl.lit(value=False), *(lost(given, value) for given, value in read))
    values = zip(version_columns(columns, step), [*(value for _, value in read), bad], strict=True)
    return found.select(KEYS[step], *ORDER, *(value.alias(name) for name, value in values))


def _read(name: str, dtype: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    """What a change gives for a column, and the value that this is."""
    if name in EVENT_SCHEMA:
        return pl.col(name), fit(pl.col(name), EVENT_SCHEMA[name], dtype)
    given, nested = pl.col(f"{_TEXT}{name}"), pl.col(f"{_JSON}{name}").str.contains(r"^[\[{]")
    return given, read_text(pl.when(~nested).then(given), dtype)


def _bad(step: str) -> str:
    """The column that marks malformed versions of a step; no column of its own is named so."""
    return f"{VERSION_PREFIX}malformed_{step}"


def merge_versions(events: pl.DataFrame, step: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Enriched events with the step's columns taken from the version found, where one was; version columns go.

    Where there was none the status is that of the look-up; without one (`off`) it says why there was none.

    Expects `version_columns`, `<step>_version_at` and `<step>_version_status` beside the event's own columns.
    """
    found = (pl.col(f"{step}_version_status") == FOUND).fill_null(value=False)
    values = [
        pl.when(found).then(pl.col(f"{VERSION_PREFIX}{name}")).otherwise(pl.col(name)).alias(name)
        for name in prefixed(pl.Schema(columns), f"{step}_")
    ]
    status = status_column(step)
    said = pl.when(pl.col(_bad(step))).then(pl.lit(MALFORMED)).otherwise(pl.lit(VERSION))  # null in old checkpoints
    why = pl.col(f"{step}_version_status").replace_strict({NO_VERSION: NOT_FOUND, NOTHING_ASKED: NO_KEY}, default=OFF)
    missed = pl.when(pl.col(status) == OFF).then(why).otherwise(pl.col(status))
    marked = pl.when(found).then(said).otherwise(missed).alias(status)
    gone = [*version_columns(columns, step), f"{step}_version_at", f"{step}_version_status"]
    return events.with_columns(*values, marked).drop(gone)
