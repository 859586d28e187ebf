"""Checkpoint, backup and lake in a bucket, warehouse in PostgreSQL: killed at every step, restored, cut off."""

import signal
import threading
import uuid
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.steps import Step
from ecompulse.io.s3 import S3Store
from services import postgres as postgres_server
from services import s3
from services.postgres import Databases
from support.far import FarShop
from support.marks import nightly
from support.process import Shop, command, events, finished, next_progress, wait_until, write_lines
from support.script import Script
from support.toy import ToyJob, rows

pytestmark = pytest.mark.slow

FLAGS = (
    "--drain",
    "--max_records_per_epoch=1000",
    "--keep_epochs=1",
    "--watermark_delay=30s",
    "--quality_window=10m",
    "--num_shards=2",
)
STEPS = [step for step in Step if not step.value.startswith(("kafka.", "alerts."))]


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_lines(tmp_path_factory.mktemp("input") / "events.jsonl", events(3000))


@pytest.fixture(scope="module")
def answer(source, tmp_path_factory) -> dict[str, pl.DataFrame]:
    """Of a shop on this disk: the places make no difference."""
    shop = Shop(tmp_path_factory.mktemp("answer"), source, (*FLAGS, "--progress=none"))
    assert shop.run_here() == (0, "")
    return shop.tables()


def check(shop: FarShop, answer: dict[str, pl.DataFrame]) -> None:
    found = shop.tables()
    assert found.keys() == answer.keys()
    for name, expected in answer.items():
        if name.startswith("warehouse "):  # SQLite's types are its own: the rows' identities say it all
            assert found[name]["id"].sort().to_list() == expected["id"].sort().to_list()
            assert found[name]["rows"].sum() == expected["rows"].sum()
        else:
            assert_frame_equal(found[name], expected)


@pytest.mark.heavy("a process for each step")
def test_killed_at_one_step_after_the_other_and_in_the_end_restored(tmp_path, source, answer, moto, postgres):
    flags = (*FLAGS, "--progress=none")
    shop = FarShop.on(Shop(tmp_path, source, flags), moto, Databases(postgres).new())
    killed = []
    for step in STEPS:
        status, said = shop.run(crash_at=step)
        assert status in {-signal.SIGKILL, 0}, f"{step}: {said}"
        killed += [step] if status else []
        if step is Step.BACKED_UP:
            s3_client = s3.client(moto)
            for name in s3_client.list_objects_v2(Bucket=shop.bucket, Prefix="checkpoint/")["Contents"]:
                s3_client.delete_object(Bucket=shop.bucket, Key=name["Key"])
            places = (f"s3://{shop.bucket}/backup", f"--to=s3://{shop.bucket}/checkpoint")
            endpoint = f"--s3_endpoint={shop.endpoint}"
            assert command("pipelines.checkpoint", "restore", *places, endpoint)[::2] == (0, "")
    assert shop.run() == (0, "")
    print("killed at", *killed)  # noqa: T201  # shown with -s, and when it fails
    assert len(killed) >= 10
    check(shop, answer)


def test_a_newcomer_on_a_bucket_takes_over_and_the_older_driver_stops(tmp_path, source, moto, postgres):
    flags = (*FLAGS[1:], "--trigger=200ms")
    shop = FarShop.on(Shop(tmp_path, source, flags), moto, Databases(postgres).new())
    old = shop.start()
    assert next_progress(old)["numInputRows"] == 1000
    status, _ = shop.run("--trigger=available-now", "--progress=none")
    assert status == 0
    status, told = finished(old)
    assert status == 1
    assert len(told) == 1
    assert "a newer driver (fencing token 2)" in told[0]


PROTOCOL = ("planned", "ran", "before_seal", "sealed", "backed_up", "lake.", "published", "committed")
ASLEEP = [step for step in STEPS if step.value.startswith(PROTOCOL)]


@pytest.fixture(scope="module")
def toy_answer(tmp_path_factory) -> pl.DataFrame:
    return Script(ToyJob(), tmp_path_factory.mktemp("toy")).add_data(rows(60)).run().table("totals")


@pytest.mark.parametrize("step", nightly(ASLEEP, [Step.SEALED, Step.LAKE_BEFORE_COMMIT]))
def test_a_driver_on_a_bucket_that_sleeps_while_its_successor_runs_changes_nothing(tmp_path, toy_answer, moto, step):
    bucket = f"asleep-{uuid.uuid4().hex[:8]}"
    s3.client(moto).create_bucket(Bucket=bucket)
    places = [S3Store(f"s3://{bucket}/{name}", moto.facts["url"]) for name in ("checkpoint", "backup")]
    script = Script(ToyJob(), tmp_path, max_rows=25, keep_epochs=1, store=places[0], backup=places[1])
    assert script.add_data(rows(60)).sleep_at(step)
    assert_frame_equal(script.table("totals"), toy_answer)


@pytest.mark.heavy("a database of its own, started twice")
def test_a_warehouse_that_is_killed_and_comes_back_stops_nothing(tmp_path, source, answer, moto):
    with postgres_server.own(tmp_path / "server") as server:
        shop = FarShop.on(Shop(tmp_path, source, FLAGS), moto, server.facts["url"])
        job = shop.start("--progress=json", "--max_records_per_epoch=500")
        next_progress(job)
        server.kill()
        back = threading.Timer(3, server.restart)
        back.start()
        retries, last = 0, None
        while (last := next_progress(job))["backlog"]:
            retries += last["retries"]["publish"]
        wait_until(lambda: job.poll() is not None)
        assert job.returncode == 0
        back.join()
        assert retries > 0
        check(shop, answer)


def test_a_warehouse_that_stays_away_stops_the_job_with_a_line(tmp_path, source, answer, moto):
    with postgres_server.own(tmp_path / "server") as server:
        shop = FarShop.on(Shop(tmp_path, source, FLAGS), moto, server.facts["url"])
        job = shop.start("--progress=json", "--max_records_per_epoch=500", "--publish_attempts=3")
        next_progress(job)
        server.kill()
        status, told = finished(job)
        assert status == 1
        assert len(told) == 1
        assert "--warehouse: warehouse:postgresql+psycopg://app:***@127.0.0.1" in told[0]
        assert "was offered 3 times" in told[0]
        assert "(run it again to go on)" in told[0]
        assert server.facts["password"] not in told[0]
        server.restart()
        assert shop.run("--progress=none") == (0, "")
        check(shop, answer)


@pytest.mark.heavy("a bucket that hangs until clients give it up")
def test_a_bucket_that_does_not_answer_for_a_while_stops_nothing(tmp_path, source, answer, postgres):
    moto = s3.start(tmp_path / "moto")
    try:
        shop = FarShop.on(Shop(tmp_path, source, FLAGS), moto, Databases(postgres).new())
        job = shop.start("--progress=json", "--max_records_per_epoch=500")
        next_progress(job)
        moto.pause()
        threading.Timer(3, moto.resume).start()
        status, told = finished(job)
        assert (status, told) == (0, [])
        check(shop, answer)
    finally:
        moto.stop()
