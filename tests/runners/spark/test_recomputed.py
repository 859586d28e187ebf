"""Executors that die after some have read what they made: nothing lost, nothing doubled, and the stamps are why."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from polars.testing import assert_frame_equal
from reliability.spark_chaos import tables

from services.spark import Cluster
from support.process import command, events, wait_until, write_lines

PROGRAM = Path(__file__).with_name("recomputed.py")
JOB = Path(__file__).with_name("recomputed_job.py")


@contextmanager
def started(*command: object) -> Iterator["subprocess.Popen[str]"]:
    """A driver, which ends with this."""
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    program = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def kill_executor(program: "subprocess.Popen[str]", cluster: Cluster, folder: Path, victim: Callable[[], int]) -> str:
    """What the program said; the executor `victim` died on the way, once there was one to be killed (not 0)."""
    wait_until(lambda: program.poll() is not None or victim())
    assert program.poll() is None, program.communicate()[1][-3000:]
    [executor] = [executor for executor in cluster.executors() if executor.pid == victim()]
    executor.kill()
    (folder / "go").touch()
    said, complaint = program.communicate(timeout=240)
    assert program.returncode == 0, complaint[-3000:]
    return said


def run_and_kill(cluster: Cluster, folder: Path, *arguments: str) -> tuple[list[str], list[int]]:
    """What the program said, and the numbers that came out; an executor died on the way."""

    def other() -> int:
        """The executor in which task 0 was not, once that is over."""
        found = homes(cluster, folder)
        return next(it.pid for it in cluster.executors() if it.pid != found[0]) if followed(found) else 0

    with started(PROGRAM, cluster.url, folder, *arguments) as program:
        said = kill_executor(program, cluster, folder, other)
    return said.splitlines(), json.loads((folder / "found").read_text())


def homes(cluster: Cluster, folder: Path) -> dict[int, int]:
    """Task that has begun to the executor that it began in."""
    executors = {executor.pid for executor in cluster.executors()}
    found = {}
    for path in folder.glob("task-*"):
        _, task, pid = path.name.split("-")
        above = {parent.pid for parent in psutil.Process(int(pid)).parents()} & executors
        found[int(task)] = above.pop() if above else 0
    return found


def followed(homes_of: dict[int, int]) -> bool:
    """Whether task 0 is over: another one has begun on its only core."""
    return 0 in homes_of and list(homes_of.values()).count(homes_of[0]) > 1


SHAPES = ["reshuffled", "uuid_keyed", "two_outputs"]


@pytest.mark.heavy("Spark starts, and each executor's worker imports Beam")
@pytest.mark.slow
@pytest.mark.parametrize("shape", [SHAPES[0], *(pytest.param(shape, marks=pytest.mark.night) for shape in SHAPES[1:])])
def test_what_spark_computes_again_makes_a_run_void(spark_cluster, tmp_path, shape):
    said, found = run_and_kill(spark_cluster, tmp_path, shape)
    assert found == list(range(400))
    assert said[-1] != "done: 1", said
    assert [line for line in said if line.startswith("void: ")], said


@pytest.mark.heavy("Spark starts, and each executor's worker imports Beam")
@pytest.mark.night
@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_without_stamps_it_loses_and_doubles_rows_in_silence(spark_cluster, tmp_path, shape):
    said, found = run_and_kill(spark_cluster, tmp_path, shape, "unchecked")
    assert said == ["done: 1"]
    counts = Counter(found)
    assert set(counts) != set(range(400)) or max(counts.values()) > 1


def planner(cluster: Cluster, folder: Path) -> int:
    """The executor that made the plan, once what waits there and another task elsewhere have read it."""
    if not list(folder.glob("held-*")) or len(list(folder.glob("read-*"))) < 2:
        return 0
    [path] = folder.glob("planned-*")
    above = {parent.pid for parent in psutil.Process(int(path.name.split("-")[1])).parents()}
    above.add(int(path.name.split("-")[1]))
    return next(executor.pid for executor in cluster.executors() if executor.pid in above)


def flags_of(folder: Path, source: Path) -> list[str]:
    """Sixteen sources, so that shares of the plan go to every task."""
    sources = [f"--source={path}" for path in sorted(source.iterdir())]
    return [
        *sources,
        f"--checkpoint={folder / 'checkpoint'}",
        f"--lake={folder / 'lake'}",
        "--warehouse=none",
        "--drain",
    ]


@pytest.mark.heavy("Spark starts, and each executor's worker imports Beam")
@pytest.mark.night
@pytest.mark.slow
@pytest.mark.parametrize("nets", ["stamps", "audit", "none"])
@pytest.mark.parametrize("job", ["event_enrichment", "session_analytics"])
def test_a_whole_job_runs_an_epoch_again_and_without_nets_loses_rows(spark_cluster, tmp_path, job, nets):
    for number in range(16):
        write_lines(tmp_path / "in" / f"{number:02}.jsonl", events(40, start=40 * number))
    calm = flags_of(tmp_path / "calm", tmp_path / "in")
    assert command(f"pipelines.{job}", *calm, "--num_shards=4", "--progress=none")[0] == 0
    flags = [*flags_of(tmp_path / "spark", tmp_path / "in"), "--progress=json"]
    with started(JOB, spark_cluster.url, tmp_path, job, nets, *flags) as program:
        said = kill_executor(program, spark_cluster, tmp_path, lambda: planner(spark_cluster, tmp_path))
    found, expected = tables(tmp_path / "spark" / "lake"), tables(tmp_path / "calm" / "lake")
    retried = json.loads(said.splitlines()[0])["retries"]["run"]
    if nets == "none":
        assert retried == 0
        assert any(not found[name].equals(frame) for name, frame in expected.items()), "nothing was lost"
        return
    assert retried >= 1
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame)
