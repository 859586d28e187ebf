"""A disk fills, by somebody else's data, and is full."""

import os
import subprocess

import pytest

from support.bad_day import bad_day

pytestmark = [pytest.mark.night, pytest.mark.slow]

SIZE = 64_000_000
NOTE = "the disk of the checkpoint is almost full"


@pytest.fixture
def disk(tmp_path):
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk, left):
    """Leave so many bytes."""
    system = os.statvfs(disk)
    with (disk / "ballast").open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, system.f_bavail * system.f_frsize - left)


def is_scarce(progress):
    return progress["disks"]["checkpoint"]["free"] < 0.1 * progress["disks"]["checkpoint"]["size"]


@pytest.mark.heavy("a job of some minutes with all who watch it")
def test_a_disk_that_fills_is_seen_and_is_over_when_there_is_room(tmp_path, feed, disk):
    flags = (f"--source={feed.folder}",)
    with bad_day(tmp_path, "event_enrichment", flags, feed, disk / "data") as day:
        day.begin()
        last = day.job.epoch
        fill(disk, left=SIZE // 20)
        day.signs(
            day.cause(is_scarce, after=last),
            page=lambda: NOTE in day.job.page("/jobs/0"),
            rule=lambda: "DiskFilling" in day.firing(),
            delivered=lambda: day.has_fired("DiskFilling"),
        )
        last = day.job.epoch
        (disk / "ballast").unlink()
        day.signs(
            day.cause(lambda progress: not is_scarce(progress), after=last),
            page_over=lambda: NOTE not in day.job.page("/jobs/0"),
            rule_over=lambda: "DiskFilling" not in day.firing(),
            resolved=lambda: day.is_resolved("DiskFilling"),
        )
        day.end("DiskFilling")


@pytest.mark.heavy("a job of some minutes with all who watch it")
def test_a_disk_that_is_full_stops_the_job_until_there_is_room(tmp_path, feed, disk):
    flags = (f"--source={feed.folder}",)
    with bad_day(tmp_path, "event_enrichment", flags, feed, disk / "data") as day:
        day.begin()
        last, starts = day.job.epoch, day.job.starts
        fill(disk, left=0)
        day.until(lambda: day.job.starts > starts + 1, "two restarts")
        day.signs(
            last,
            page=lambda: NOTE in day.job.page("/jobs/0"),
            rule=lambda: {"JobFails", "DiskFilling"} <= day.firing(),
            delivered=lambda: day.has_fired("JobFails") and day.has_fired("DiskFilling"),
        )
        assert not day.is_resolved("JobFails")
        assert not day.is_resolved("DiskFilling")
        (disk / "ballast").unlink()
        day.signs(
            day.cause(lambda progress: progress["numInputRows"], after=last),
            page_over=lambda: "What needs a look" not in day.job.page("/jobs/0"),
            rule_over=lambda: not day.firing(),
            resolved=lambda: day.is_resolved("JobFails") and day.is_resolved("DiskFilling"),
        )
        day.end("JobFails", "DiskFilling")
