"""What a lake holds."""

from dataclasses import dataclass
from typing import ClassVar, Final

import polars as pl

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.reconcile import HOLDINGS_SCHEMA
from ecompulse.epochs.sinks import Owner
from ecompulse.io.delta.lake import Lake
from ecompulse.io.delta.ownership import other_owner

_WHOSE: Final = ("job", "instance")


@dataclass(frozen=True)
class LakeHolder:
    """Every row of every table, read from the files that the table's log names."""

    lake: Lake
    keeps_all: ClassVar = True

    @property
    def name(self) -> str:
        """As the sink's."""
        return f"lake:{self.lake.root}"

    def tables(self) -> list[str]:
        """Of the lake."""
        return self.lake.names()

    def holdings(self, table: str, owner: Owner) -> pl.DataFrame | None:
        """Rows of the owner; OSError when a file is missing, JobError when another checkpoint has taken their place."""
        if not self.lake.holds(table):
            return None
        delta = self.lake.table(table)
        other = other_owner(delta, owner)
        if other is not None:
            raise JobError(replaced(other))
        there = {field.name for field in delta.schema().fields}
        columns = [name for name in (*HOLDINGS_SCHEMA, *_WHOSE) if name in there]
        return owned(pl.DataFrame(delta.to_pyarrow_table(columns=columns)), owner)


def replaced(other: str) -> str:
    """What to say of rows that are no longer there."""
    return f"its rows are those of another checkpoint ({other[:12]}), which has taken the place of this one"


def owned(rows: pl.DataFrame, owner: Owner) -> pl.DataFrame:
    """Rows of the owner's job and instance, as HOLDINGS_SCHEMA; columns that are not there are null."""
    lacking = [pl.lit(None, pl.String).alias("instance")] if "instance" not in rows.columns else []
    lacking += [pl.lit(None, pl.Int64).alias("revision")] if "revision" not in rows.columns else []
    mine = (pl.col("job") == owner.job) & pl.col("instance").eq_missing(pl.lit(owner.instance, pl.String))
    whole = rows.with_columns(lacking).filter(mine)
    return whole.select(pl.col(name).cast(dtype) for name, dtype in HOLDINGS_SCHEMA.items())
