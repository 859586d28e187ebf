"""The lake's sink by itself: once per epoch, whoever else writes, and whatever happened to the table meanwhile."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.runs import digest
from ecompulse.epochs.sinks import DataFile, Owner, TableSpec
from ecompulse.epochs.stored import DATE, stored_schema
from ecompulse.io.sinks.delta import DeltaSink
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.event import TIME

SPEC = TableSpec("rows", pl.Schema({"id": pl.String(), "event_time": TIME}), "event_time")
DAY = "2026-03-01"


def opened(root: Path, checkpoint: str = "c", job: str = "job", **more: Any) -> DeltaSink:
    sink = DeltaSink(LocalStore(str(root)))
    sink.open([SPEC], Owner(job, checkpoint, **more))
    return sink


def publish(sink: DeltaSink, epoch: int, writer: str = "w", instance: str | None = None) -> None:
    """A file of one row of job `job`, named by epoch and writer, as a worker leaves it."""
    path = Path(sink.root) / "rows" / f"event_date={DAY}" / f"{writer}-{epoch}.parquet"
    path.parent.mkdir(exist_ok=True)
    columns = {name: dtype for name, dtype in stored().items() if name != "event_date"}
    row = {**dict.fromkeys(columns), "id": f"{writer}{epoch}", "job": "job", "instance": instance}
    pl.DataFrame([row], schema=columns).write_parquet(path)
    size, sha256 = path.stat().st_size, digest(path.read_bytes())
    file = DataFile(str(path.relative_to(sink.root)), 1, size, sha256, DAY)
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


def test_a_reader_that_filters_finds_its_rows(tmp_path: Path) -> None:
    """deltalake's own reader makes filters of a file's statistics; after a compaction these are its own."""
    sink = opened(tmp_path)
    publish(sink, 1)
    publish(sink, 2)

    def found(condition: pc.Expression) -> int:
        return DeltaTable(str(tmp_path / "rows")).to_pyarrow_dataset().to_table(filter=condition).num_rows

    for epoch in (3, 4):
        assert found(pc.field("id") == "w1") == 1
        assert found(pc.field("job") == "job") == epoch - 1
        assert found(pc.field("instance").is_null()) == epoch - 1
        DeltaTable(str(tmp_path / "rows")).optimize.compact()
        publish(sink, epoch)
        assert found(pc.field("id") == f"w{epoch}") == 1


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
    first, second = opened(tmp_path, "a"), opened(tmp_path, "b", "other")
    for epoch in (1, 2):
        publish(first, epoch, "a")
        publish(second, epoch, "b")
    assert ids(tmp_path) == ["a1", "a2", "b1", "b2"]


def test_rows_of_another_checkpoint_are_refused(tmp_path: Path) -> None:
    first = opened(tmp_path, "a")
    late = opened(tmp_path, "b")  # nobody has written yet
    publish(first, 1, "a")
    with pytest.raises(UserError, match=r"^--lake: .*/rows holds rows of job from another checkpoint .*--replace"):
        opened(tmp_path, "b")
    with pytest.raises(UserError, match="another checkpoint"):
        publish(late, 1, "b")
    opened(tmp_path, "c", succeeds=("b", "a"))
    opened(tmp_path, "b", instance="b")
    assert ids(tmp_path) == ["a1"]


def test_rows_of_another_checkpoint_are_replaced_in_one_commit(tmp_path: Path) -> None:
    old, beside = opened(tmp_path, "a"), opened(tmp_path, "d", instance="x")
    for epoch in (1, 2):
        publish(old, epoch, "a")
        publish(beside, epoch, "x", "x")
    DeltaTable(str(tmp_path / "rows")).optimize.compact()  # files that hold rows of several
    version = DeltaTable(str(tmp_path / "rows")).version()
    new = opened(tmp_path, "b", replace=True)
    assert ids(tmp_path) == ["a1", "a2", "x1", "x2"]
    publish(new, 1, "b")
    assert DeltaTable(str(tmp_path / "rows")).version() == version + 1
    publish(new, 1, "b")
    publish(new, 2, "b")
    assert ids(tmp_path) == ["b1", "b2", "x1", "x2"]
    with pytest.raises(UserError, match="another checkpoint"):
        publish(old, 3, "a")


def test_an_epoch_without_rows_replaces_too(tmp_path: Path) -> None:
    publish(opened(tmp_path, "a"), 1, "a")
    new = opened(tmp_path, "b", replace=True)
    new.publish(SPEC, 1, [])
    assert ids(tmp_path) == []
    publish(new, 2, "b")
    assert ids(tmp_path) == ["b2"]


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
