"""Update streams of the user and product steps: changes become versions, versions become columns.

A change is a row with the step's key, `updated_at` (as event_time may be written) and the columns that the step
declares. It is decoded by the rules of events: what breaks one is a dead letter.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from ecompulse.kernels.enrich.lookup import ProductStep, UserStep, prefixed
from ecompulse.kernels.enrich.pii import VERSION_PREFIX
from ecompulse.kernels.enrich.step import status_column
from ecompulse.kernels.event import EVENT_SCHEMA, ORDER, TIME
from ecompulse.kernels.mapping import Mapping as FieldMapping
from ecompulse.kernels.temporal_join import FOUND

VERSION: Final = "version"
"""Status of a row whose columns come from a version in force at its event time, not from the look-up."""

KEYS: Final = {step.name: step.key for step in (UserStep, ProductStep)}
"""Steps that may have an update stream, and what they look up by."""


def change_mapping(step: str) -> FieldMapping:
    """How a change of a step is read as an event, so that the same rules decode it."""
    other = {} if step == "user" else {"anonymous_id": step}
    return FieldMapping(
        fields={"event_time": "updated_at"}, constants={"event_type": f"{step}_update", **other}, event_id="hash"
    )


def version_columns(columns: Mapping[str, pl.DataType], step: str) -> pl.Schema:
    """Columns of a version as they travel beside events: `version_user_tier`."""
    return pl.Schema(
        {f"{VERSION_PREFIX}{name}": dtype for name, dtype in prefixed(pl.Schema(columns), f"{step}_").items()}
    )


def to_versions(changes: pl.DataFrame, step: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Decoded changes (FRAME_SCHEMA) as versions: the key, ORDER, and `version_columns`.

    A column is taken from the event's field of that name, else from `properties`; what does not fit its type is
    null.
    """
    names = list(version_columns(columns, step))
    values = [_value(name, dtype).alias(alias) for alias, (name, dtype) in zip(names, columns.items(), strict=True)]
    return changes.select(KEYS[step], *ORDER, *values)


def _value(name: str, dtype: pl.DataType) -> pl.Expr:
    if name in EVENT_SCHEMA:
        return pl.col(name).cast(dtype, strict=False)
    text = pl.col("properties").str.json_path_match(f"$['{name}']")
    if dtype == pl.Boolean():
        return pl.when(text.is_in(["true", "false"])).then(text == "true")
    if isinstance(dtype, pl.Datetime):
        moment = text.str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False)
        return pl.coalesce(moment, text.cast(pl.Int64, strict=False).cast(TIME)).cast(dtype)
    return text.cast(dtype, strict=False)


def merge_versions(events: pl.DataFrame, step: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Enriched events with the step's columns taken from the version found, where one was; version columns go.

    Expects `version_columns`, `<step>_version_at` and `<step>_version_status` beside the event's own columns.
    """
    found = (pl.col(f"{step}_version_status") == FOUND).fill_null(value=False)
    values = [
        pl.when(found)
        .then(pl.col(name))
        .otherwise(pl.col(name.removeprefix(VERSION_PREFIX)))
        .alias(name.removeprefix(VERSION_PREFIX))
        for name in version_columns(columns, step)
    ]
    status = status_column(step)
    marked = pl.when(found).then(pl.lit(VERSION)).otherwise(pl.col(status)).alias(status)
    gone = [*version_columns(columns, step), f"{step}_version_at", f"{step}_version_status"]
    return events.with_columns(*values, marked).drop(gone)
