"""The lake's sink by itself: once per epoch, whoever else writes, and whatever happened to the table meanwhile."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.protocols import DataFile, TableSpec
from ecompulse.epochs.tables import DATE, stored_schema
from ecompulse.io.sinks.delta import DeltaSink
from ecompulse.kernels.event import TIME

SPEC = TableSpec("rows", pl.Schema({"id": pl.String(), "event_time": TIME}), "event_time")
DAY = "2026-03-01"


def opened(root: Path, checkpoint: str = "c") -> DeltaSink:
    sink = DeltaSink(str(root), "job")
    sink.open([SPEC], checkpoint)
    return sink


def publish(sink: DeltaSink, epoch: int, writer: str = "w") -> None:
    """A file of one row, named by epoch and writer, as a worker leaves it."""
    path = Path(sink.root) / "rows" / f"event_date={DAY}" / f"{writer}-{epoch}.parquet"
    path.parent.mkdir(exist_ok=True)
    columns = {name: dtype for name, dtype in stored().items() if name != "event_date"}
    pl.DataFrame([{**dict.fromkeys(columns), "id": f"{writer}{epoch}"}], schema=columns).write_parquet(path)
    file = DataFile(str(path.relative_to(sink.root)), 1, path.stat().st_size, "", DAY, {"numRecords": 1})
    sink.publish(SPEC, epoch, [file])


def stored() -> pl.Schema:
    return pl.Schema({**stored_schema(SPEC), DATE: pl.Date()})


def ids(root: Path) -> list[str]:
    found = pl.from_arrow(DeltaTable(str(root / "rows")).to_pyarrow_table())
    assert isinstance(found, pl.DataFrame)
    return sorted(found["id"])


def test_an_epoch_that_is_published_again_adds_nothing(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for epoch in (1, 2, 2, 1):
        publish(sink, epoch)
    publish(opened(tmp_path), 2)
    assert ids(tmp_path) == ["w1", "w2"]


def test_a_sink_sees_what_its_double_has_committed_since(tmp_path: Path) -> None:
    """A driver that slept wakes up: the version that it has in memory is old."""
    old = opened(tmp_path)
    publish(old, 1, "old")
    new = opened(tmp_path)
    for epoch in (2, 3):
        publish(new, epoch, "new")
    for epoch in (2, 3):
        publish(old, epoch, "old")
    publish(old, 4, "old")
    assert ids(tmp_path) == ["new2", "new3", "old1", "old4"]


def test_jobs_that_share_a_table_do_not_hide_each_other(tmp_path: Path) -> None:
    first, second = opened(tmp_path, "a"), opened(tmp_path, "b")
    for epoch in (1, 2):
        publish(first, epoch, "a")
        publish(second, epoch, "b")
    assert ids(tmp_path) == ["a1", "a2", "b1", "b2"]


def test_a_table_that_is_compacted_and_vacuumed_meanwhile_goes_on(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for epoch in (1, 2, 3):
        publish(sink, epoch)
    table = DeltaTable(str(tmp_path / "rows"))
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    for epoch in (3, 4):
        publish(sink, epoch)
    assert ids(tmp_path) == ["w1", "w2", "w3", "w4"]


def test_a_table_whose_old_log_was_cleaned_up_meanwhile_goes_on(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    publish(sink, 1)
    other = opened(tmp_path)
    for epoch in (2, 3, 4):
        publish(other, epoch)
    DeltaTable(str(tmp_path / "rows")).create_checkpoint()
    for entry in sorted((tmp_path / "rows" / "_delta_log").glob("*.json"))[:-1]:
        entry.unlink()
    for epoch in (4, 5):
        publish(sink, epoch)
    assert ids(tmp_path) == ["w1", "w2", "w3", "w4", "w5"]


def test_a_table_that_is_gone_is_one_line(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    publish(sink, 1)
    for path in sorted((tmp_path / "rows").rglob("*"), reverse=True):
        (path.rmdir if path.is_dir() else path.unlink)()
    with pytest.raises(JobError, match=r"--lake: .*rows: ") as told:
        publish(sink, 2)
    assert "\n" not in str(told.value)
