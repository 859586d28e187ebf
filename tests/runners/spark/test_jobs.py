"""The four jobs give the same tables in process, on Spark in one process, and on a cluster."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from support.place import latest, timeless
from support.process import REES46
from support.script import comparable

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("jobs.py")
JOBS = ("event_enrichment", "session_analytics", "realtime_metrics", "anomaly_detection")
SMALL = {"spark.ui.enabled": "false", "spark.executor.memory": "512m"}


def run(runner: str, folder: Path, source: Path, jobs: Sequence[str], *flags: str) -> dict[str, pl.DataFrame]:
    """Every table of these jobs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, PROGRAM, runner, folder, source, ",".join(jobs), *flags],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    logs = sorted(folder.glob("*/lake/*/_delta_log"))
    return {f"{log.parents[2].name}/{log.parent.name}": table(log.parent) for log in logs}


def table(path: Path) -> pl.DataFrame:
    frame = pl.from_arrow(DeltaTable(str(path)).to_pyarrow_table())
    assert isinstance(frame, pl.DataFrame)
    return comparable(timeless(path.name, latest(frame)))


def on_spark(master: str) -> list[str]:
    conf = [f"--spark_conf={key}={value}" for key, value in SMALL.items()]
    return [f"--spark_master={master}", "--shared_filesystem", *conf]


def assert_same(found: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    assert set(found) == set(expected)
    assert any(frame.height for frame in expected.values())
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A simulated shop's events."""
    folder = tmp_path_factory.mktemp("shop")
    write(simulate(Settings(seed=3, events=1500)), folder)
    return folder / "events"


@pytest.mark.heavy("a job, twice, once of it on Spark, which starts")
@pytest.mark.slow
@pytest.mark.parametrize("jobs", [JOBS[1:2], pytest.param(JOBS, marks=pytest.mark.night)], ids=len)
def test_on_spark_in_one_process(shop, tmp_path, jobs):
    expected = run("LocalRunner", tmp_path / "in-process", shop, jobs)
    assert_same(run("PySparkRunner", tmp_path / "spark", shop, jobs, *on_spark("local[2]")), expected)


@pytest.mark.slow
@pytest.mark.night
def test_on_a_cluster(spark_cluster, shop, tmp_path):
    expected = run("LocalRunner", tmp_path / "in-process", shop, JOBS)
    assert_same(run("PySparkRunner", tmp_path / "spark", shop, JOBS, *on_spark(spark_cluster.url)), expected)


@pytest.mark.slow
@pytest.mark.night
@pytest.mark.parametrize("where", ["local[2]", "cluster"])
def test_real_data(spark_cluster, tmp_path, where):
    if not REES46.exists():
        pytest.skip("there is no shared/data beside the checkout")
    flags = ["--mapping=rees46", "--max_records_per_epoch=4000"]
    master = spark_cluster.url if where == "cluster" else where
    expected = run("LocalRunner", tmp_path / "in-process", REES46, JOBS, *flags)
    assert_same(run("PySparkRunner", tmp_path / "spark", REES46, JOBS, *flags, *on_spark(master)), expected)
