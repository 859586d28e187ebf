"""A small simulated shop, and jobs run on it in this process."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
from deltalake import DeltaTable

from ecompulse.simulator.truth import Truth
from pipelines import event_enrichment
from support.script import comparable


@dataclass(frozen=True)
class Simulated:
    """Where a simulated shop was written, and what is true of it."""

    folder: Path
    truth: Truth

    @property
    def events(self) -> Path:
        return self.folder / "events"

    def files(self) -> list[Path]:
        return sorted(self.events.iterdir())


@dataclass(frozen=True)
class Place:
    """Checkpoint, lake and warehouse of one job below a folder, and the job run in process."""

    root: Path
    source: Path
    flags: tuple[str, ...] = ()
    job: ModuleType = event_enrichment

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    def arguments(self, *flags: str) -> list[str]:
        return [
            f"--source={self.source}",
            f"--checkpoint={self.checkpoint}",
            f"--lake={self.lake}",
            f"--warehouse=sqlite:///{self.root / 'warehouse.db'}",
            "--num_shards=2",
            "--progress=none",
            *self.flags,
            *flags,
        ]

    def run(self, *flags: str) -> int:
        status: int = self.job.main(self.arguments(*flags))
        return status

    def raw(self, table: str) -> pl.DataFrame:
        frame = pl.from_arrow(DeltaTable(str(self.lake / table)).to_pyarrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every table of the lake, ready to be compared; of a row that was revised, the last revision."""
        names = sorted(log.parent.name for log in self.lake.glob("*/_delta_log"))
        return {name: comparable(latest(self.raw(name))) for name in names}


def latest(frame: pl.DataFrame) -> pl.DataFrame:
    """The last revision of each row that has revisions."""
    if "revision" not in frame.columns:
        return frame
    return frame.sort("revision").unique("id", keep="last", maintain_order=True)


def timeless(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """A table's rows without what goes by processing time, so that runs at different hours can be compared.

    Metrics of today's windows are left out: what the driver measured of an epoch. Data quality counts a row without a
    time in the hour in which it was read: its counts stay, the hour goes. Event times are to be older than a day.
    """
    if table not in {"metrics", "data_quality"}:
        return frame
    today = (pl.col("window_start") >= datetime.now(UTC) - timedelta(days=1)).fill_null(value=False)
    if table == "metrics":
        return frame.filter(~today)
    counts = frame.filter(today).group_by("job", "instance", "check_name", "subject").agg(pl.col("count", "rows").sum())
    return pl.concat([frame.filter(~today), counts], how="diagonal")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, with content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def printed(capsys: Any, tool: ModuleType, *arguments: object, status: int = 0) -> str:
    """What a tool prints when it has nothing to complain about."""
    capsys.readouterr()
    assert tool.main([str(argument) for argument in arguments]) == status
    said = capsys.readouterr()
    assert said.err == ""
    return str(said.out)
