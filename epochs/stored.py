"""Rows as every sink stores them: with owner and epoch, in types that Delta can hold."""

from typing import Final

import polars as pl

from ecompulse.epochs.sinks import TableSpec

DATE: Final = "event_date"
"""Partition column of every table: the UTC date of its time column."""


def of_instance(column: str, instance: str) -> pl.Expr:
    """Ids of rows, derived from content, made distinct per instance: two shops may have the same order id."""
    return pl.concat_str(pl.lit(f"{instance}:"), column).alias(column)


def stored(frame: pl.DataFrame, *, job: str, instance: str | None, epoch: int) -> pl.DataFrame:
    """A frame with `job`, `instance` and `epoch`, and times in microseconds (UTC), which is what Delta can store."""
    times = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    return frame.with_columns(
        *(pl.col(name).cast(pl.Datetime("us", "UTC")) for name in times),
        job=pl.lit(job),
        instance=pl.lit(instance, pl.String),
        epoch=pl.lit(epoch, pl.Int64),
    )


def stored_schema(spec: TableSpec) -> pl.Schema:
    """Schema of a table's files, without the partition column."""
    return stored(pl.DataFrame(schema=spec.schema), job="", instance=None, epoch=0).schema
