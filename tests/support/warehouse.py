"""A warehouse of one test, and tables and rows to publish into it."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from ecompulse.epochs.runs import digest
from ecompulse.epochs.sinks import DataFile, Owner, TableSpec
from ecompulse.io.sinks.warehouse import WarehouseSink
from ecompulse.io.stores import LocalStore

SCHEMA = pl.Schema({
    "id": pl.String(),
    "at": pl.Datetime("ms", "UTC"),
    "money": pl.Decimal(18, 4),
    "lines": pl.List(pl.Struct({"n": pl.Int64(), "t": pl.String()})),
    "text": pl.String(),
    "share": pl.Float64(),
    "final": pl.Boolean(),
    "revision": pl.Int64(),
})  # fmt: skip
TABLE = TableSpec("orders", SCHEMA, "at", warehouse=True, revised=True)
PLAIN = TableSpec("plain", SCHEMA, "at", warehouse=True)
AT = dt.datetime(2026, 1, 1, 12, 0, 0, 5000, tzinfo=dt.UTC)


@dataclass
class Warehouse:
    """A database of one test, and files to publish into it."""

    folder: Path
    url: str
    files: int = 0

    @property
    def engine(self) -> sa.Engine:
        return sa.create_engine(self.url, poolclass=sa.NullPool)

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def sink(
        self, checkpoint: str = "cp1", job: str = "j", instance: str | None = None, *, replace: bool = False
    ) -> WarehouseSink:
        made = WarehouseSink(self.url, LocalStore(str(self.folder)))
        made.open([TABLE, PLAIN], Owner(job, checkpoint, instance, replace=replace))
        return made

    def write(self, *rows: dict[str, Any], job: str = "j", instance: str | None = None) -> list[DataFile]:
        """One file of rows; what a row does not say is null, but `id`, `at` and `revision`."""
        whole = [{"id": "a", "at": AT, "revision": 1, **row} for row in rows]
        frame = pl.DataFrame(whole, schema=SCHEMA).with_columns(
            pl.col("at").cast(pl.Datetime("us", "UTC")),
            job=pl.lit(job),
            instance=pl.lit(instance, pl.String),
            epoch=pl.lit(1, pl.Int64),
        )
        self.files += 1
        path = self.folder / f"{self.files}.parquet"
        frame.write_parquet(path)
        return [DataFile(path.name, frame.height, 1, digest(path.read_bytes()), "2026-01-01")]

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql))]

    def execute(self, sql: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(sql))
