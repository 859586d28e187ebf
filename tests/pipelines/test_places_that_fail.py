"""Places that cannot be made, are full, or are removed under a running job: one line at once, that names them."""

import os
import resource
import shutil
import signal
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest

from ecompulse.epochs.errors import JobError, Unusable
from ecompulse.epochs.steps import Step, observe
from ecompulse.io import stores
from ecompulse.io.stores import LocalStore
from services import s3
from support.process import Shop, events, write_lines

pytestmark = pytest.mark.slow

FLAGS = ("--num_shards=2", "--progress=none", "--max_records_per_epoch=40", "--drain")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    def never(*_arguments: object):
        raise AssertionError("nothing may be tried again")

    monkeypatch.setattr("ecompulse.cli.patience.WallClock.wait", never)
    made = Shop(tmp_path / "shop", tmp_path / "input", FLAGS, backup=True)
    write_lines(made.source / "1.jsonl", events(120))
    return made


def said_at_once(shop, *flags: str):
    status, said = shop.run_here(*flags)
    assert said.count("\n") == 1, said
    return status, said


@pytest.mark.parametrize(
    ("gone", "line"),
    [
        ("checkpoint", "checkpoint {root}/checkpoint: was removed under the running job"),
        ("lake", "--lake: {root}/lake/{table}: was removed under the running job"),
        ("warehouse.db", "--warehouse: warehouse:sqlite:///{root}/warehouse.db: table data_quality: it was removed or"),
        ("lines", "--sink: jsonl:{root}/lines: {table}: its ledger was removed under the running job"),
    ],
)
def test_what_is_removed_under_the_job_stops_it_at_once(shop, gone, line):
    left = [1]

    def remove(step: Step) -> None:
        path = shop.root / gone
        if step is Step.COMMITTED and left and path.exists():
            left.pop()
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    forget = observe(remove)
    try:
        status, said = said_at_once(shop, "--watermark_delay=1s", "--quality_window=10s")
    finally:
        forget()
    assert status == 1
    start, _, rest = line.format(root=shop.root, table="{table}").partition("{table}")
    assert start in said
    assert rest in said


@pytest.mark.parametrize("flag", ["checkpoint", "lake", "checkpoint_backup", "warehouse", "sink"])
@pytest.mark.parametrize("where", ["below a file", "too long", "a folder that nobody can make"])
def test_a_place_that_cannot_be_made_is_one_line(shop, tmp_path, flag, where):
    (tmp_path / "file").write_text("")
    root = {"below a file": tmp_path / "file" / "x", "too long": tmp_path / ("x" * 300)}.get(where, Path("/proc/none"))
    place = {"warehouse": f"sqlite:///{root}/y/w.db", "sink": f"jsonl:{root}/y"}.get(flag, f"{root}/y")
    status, said = said_at_once(shop, f"--{flag}={place}")
    assert status in {1, 2}
    assert str(root)[:200] in said


@contextmanager
def no_file_above(size: int):
    """Files of this process cannot grow above so many bytes: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    ("size", "flags", "place"),
    [(2_000, ("--lake=none",), "/checkpoint/"), (16_000, (), "/lake/"), (40_000, (), "/lines")],
)
def test_a_full_disk_stops_the_job_at_once_and_it_goes_on_when_there_is_room(shop, size, flags, place):
    with no_file_above(size):
        status, said = said_at_once(shop, *flags)
    assert status == 1
    assert f"{shop.root}{place}" in said
    assert "File too large" in said
    assert not list(shop.root.rglob(".tmp-*"))
    assert shop.run_here(*flags) == (0, "")
    assert shop.tables()["lines enriched_events"]["event_id"].n_unique() == 113


@pytest.mark.parametrize(
    ("number", "lasts"), [(28, True), (122, True), (30, True), (13, True), (5, False), (116, False), (24, False)]
)
def test_a_fault_of_the_disk_names_the_path_and_says_whether_it_may_pass(tmp_path, monkeypatch, number, lasts):
    def fail(_descriptor):
        raise OSError(number, os.strerror(number))

    store = LocalStore(str(tmp_path))
    store.put("a/b", b"")
    monkeypatch.setattr(stores.os, "fsync", fail)
    for write in (store.put, store.create):
        with pytest.raises(JobError, match=f"^{tmp_path}/a/c: {os.strerror(number)}$") as caught:
            write("a/c", b"x")
        assert isinstance(caught.value, Unusable) == lasts
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.night
@pytest.mark.parametrize("whole", [False, True], ids=["the tables", "the bucket"])
def test_a_lake_in_a_bucket_that_is_removed_under_the_job_stops_it_with_a_line(shop, moto, monkeypatch, whole):
    for key, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    client, bucket, left = s3.client(moto), f"gone-{uuid.uuid4().hex[:8]}", [1]
    client.create_bucket(Bucket=bucket)

    def remove(step: Step) -> None:
        if step is Step.COMMITTED and left:
            left.pop()
            for found in client.list_objects_v2(Bucket=bucket)["Contents"]:
                client.delete_object(Bucket=bucket, Key=found["Key"])
            if whole:
                client.delete_bucket(Bucket=bucket)

    monkeypatch.setattr("ecompulse.cli.patience.WallClock.wait", lambda *_: None)
    forget = observe(remove)
    few = ("--epoch_attempts=2", "--publish_attempts=2")
    flags = (f"--lake=s3://{bucket}/lake", f"--s3_endpoint={moto.facts['url']}", *few)
    try:
        status, said = said_at_once(
            shop, *flags, "--publish_attempts=2", "--watermark_delay=1s", "--quality_window=10s"
        )
    finally:
        forget()
    assert status == 1
    assert f"s3://{bucket}" in said
