"""Executors that die after some have read what they made: nothing lost, nothing doubled, and the stamps are why."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from services.spark import Cluster
from support.process import wait_until

PROGRAM = Path(__file__).with_name("recomputed.py")


def run_and_kill(cluster: Cluster, folder: Path, *arguments: str) -> tuple[list[str], list[int]]:
    """What the program said, and the numbers that came out; an executor died on the way."""
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    program = subprocess.Popen(
        [sys.executable, PROGRAM, cluster.url, folder, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        wait_until(lambda: program.poll() is not None or followed(homes(cluster, folder)))
        assert program.poll() is None, program.communicate()[1][-3000:]
        first = homes(cluster, folder)[0]
        [victim] = [executor for executor in cluster.executors() if executor.pid != first]
        victim.kill()
        (folder / "go").touch()
        said, complaint = program.communicate(timeout=240)
    finally:
        program.kill()
        program.communicate()
    assert program.returncode == 0, complaint[-3000:]
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
