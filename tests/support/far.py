"""A job as in production: checkpoint, backup and lake in buckets, warehouse in PostgreSQL; real processes."""

import uuid
from dataclasses import dataclass, field

import polars as pl
import sqlalchemy as sa
from deltalake import DeltaTable

from ecompulse.io.s3 import storage_options
from services import s3
from services.server import Server
from support.process import Shop
from support.script import comparable


@dataclass
class FarShop(Shop):
    """A shop of which only the JSON lines are on this disk."""

    endpoint: str = ""
    warehouse: str = ""
    bucket: str = field(default_factory=lambda: f"shop-{uuid.uuid4().hex[:8]}")

    @staticmethod
    def on(shop: Shop, moto: Server, warehouse: str) -> "FarShop":
        """The same job and source, with a bucket of its own."""
        made = FarShop(shop.root, shop.source, shop.flags, shop.job, endpoint=moto.facts["url"], warehouse=warehouse)
        s3.client(moto).create_bucket(Bucket=made.bucket)
        return made

    def arguments(self, *flags: str) -> list[str]:
        """The command line after the name of the job; the last of a flag counts."""
        far = [
            f"--checkpoint=s3://{self.bucket}/checkpoint",
            f"--checkpoint_backup=s3://{self.bucket}/backup",
            f"--lake=s3://{self.bucket}/lake",
            f"--s3_endpoint={self.endpoint}",
            f"--warehouse={self.warehouse}",
        ]
        return [*super().arguments(), *far, *flags]

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables of all sinks by sink and name, ready to be compared."""
        lake = f"s3://{self.bucket}/lake"
        names = ("enriched_events", "dead_letters", "data_quality")
        options = storage_options(lake, self.endpoint)
        found = {
            f"lake {name}": DeltaTable(f"{lake}/{name}", storage_options=options).to_pyarrow_table() for name in names
        }
        lines = {name: table for name, table in super().tables().items() if name.startswith("lines ")}
        return {**{name: comparable(frame_of(table)) for name, table in found.items()}, **lines, **self._rows()}

    def _rows(self) -> dict[str, pl.DataFrame]:
        engine = sa.create_engine(self.warehouse, poolclass=sa.NullPool)
        with engine.connect() as connection:
            names = [name for name in sa.inspect(engine).get_table_names() if not name.startswith("ecompulse")]
            tables = {name: connection.execute(sa.select(sa.text("*")).select_from(sa.table(name))) for name in names}
            return {
                f"warehouse {name}": comparable(pl.DataFrame(rows.fetchall(), schema=list(rows.keys()), orient="row"))
                for name, rows in tables.items()
            }


def frame_of(table: object) -> pl.DataFrame:
    """An Arrow table as a frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
