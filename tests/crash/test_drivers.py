"""Two drivers on one checkpoint, and drivers that are stopped, woken and asked to end."""

import signal
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from support.process import Shop, events, finished, next_progress, wait_until, write_lines

pytestmark = pytest.mark.slow

FLAGS = ("--watermark_delay=30s", "--quality_window=10m", "--num_shards=2")
FOLLOW = "--trigger=200ms"


@pytest.fixture
def shop(tmp_path):
    made = Shop(tmp_path / "shop", tmp_path / "input", FLAGS)
    write_lines(made.source / "1.jsonl", events(400))
    yield made
    made.stop_all()


def check_drained(shop: Shop, tmp_path: Path) -> None:
    """Drain the shop, and compare it with one that had the whole input at once."""
    assert shop.run_here("--drain", "--progress=none") == (0, "")
    calm = Shop(tmp_path / "calm", shop.source, FLAGS)
    assert calm.run_here("--drain", "--progress=none") == (0, "")
    found, expected = shop.tables(), calm.tables()
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        assert_frame_equal(found[name], table)


def test_a_second_driver_is_refused_while_the_first_follows_a_growing_folder(shop, tmp_path):
    first = shop.start(FOLLOW)
    assert next_progress(first)["numInputRows"] == 400
    status, said = shop.run("--progress=none")
    assert status == 1
    assert said.count("\n") == 1
    assert f"a driver is running on it (process {first.pid} on " in said
    with (shop.source / "2.jsonl").open("w") as growing:
        lines = list(events(300, start=400))
        growing.write("\n".join(lines[:100]) + "\n" + lines[100][:20])
        growing.flush()
        assert next_rows(first) == 100, "the line that is not whole must wait"
        growing.write(lines[100][20:] + "\n" + "\n".join(lines[101:]) + "\n")
        growing.flush()
        assert next_rows(first) == 200
    first.send_signal(signal.SIGTERM)
    status, told = finished(first)
    assert status == 130
    assert told[0] == "stopping after the epoch in hand; once more to stop at once"
    assert "interrupted; checkpoint" in told[1]
    assert "is at epoch " in told[1]
    assert len(told) == 2
    check_drained(shop, tmp_path)


def next_rows(driver) -> int:
    """Rows of the next epoch that has some: between them the watermark may close windows without any."""
    while True:
        rows = next_progress(driver)["numInputRows"]
        if rows:
            return rows


def test_a_stopped_driver_that_wakes_after_its_successor_committed_must_stop(shop, tmp_path):
    old = shop.start(FOLLOW)
    assert next_progress(old)["numInputRows"] == 400
    old.send_signal(signal.SIGSTOP)
    write_lines(shop.source / "2.jsonl", events(300, start=400))
    status, said = shop.run("--progress=none")  # takes over once the heartbeat is stale
    assert (status, said) == (0, "")
    write_lines(shop.source / "3.jsonl", events(100, start=700))
    old.send_signal(signal.SIGCONT)
    status, told = finished(old)
    assert status == 1
    assert len(told) == 1
    assert "a newer driver (fencing token 2) took over from this one (fencing token 1); this one stops" in told[0]
    check_drained(shop, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_job_after_the_epoch_in_hand(shop, tmp_path, number):
    process = shop.start("--max_records_per_epoch=20", "--drain")
    at = next_progress(process)["batchId"]
    process.send_signal(number)
    status, told = finished(process)
    assert status == 130
    assert len(told) == 2
    assert "interrupted" in told[1]
    committed = len(list((shop.root / "checkpoint" / "commits").iterdir()))
    sealed = len(list((shop.root / "checkpoint" / "seals").iterdir()))
    assert at <= committed == sealed < 20
    check_drained(shop, tmp_path)


def test_a_second_signal_ends_it_at_once_and_it_can_be_resumed(shop, tmp_path):
    process = shop.start(FOLLOW, "--max_records_per_epoch=20")
    next_progress(process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: process.poll() is not None)
    assert process.returncode in {130, 128 + signal.SIGINT, 128 + signal.SIGTERM}
    check_drained(shop, tmp_path)
