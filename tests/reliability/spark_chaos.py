"""`make chaos-spark`: the four jobs on a standalone cluster, while a seeded schedule kills and stops what is at work.

Executors die (SIGKILL to the JVM), workers die after they have written files (a failure after side effects), executors
are cut off but alive (SIGSTOP, a while later SIGCONT), the driver dies and is started again. Speculation is on. A job
that ends before it has had its share of blows is run anew, in another place. In the end all tables are compared with
those of a run in process that nobody disturbed; files that no table refers to are counted, and `lake vacuum` removes
them.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl
import psutil
from deltalake import DeltaTable

from ecompulse.cli.lake import maintain
from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from services import spark
from support.place import latest, timeless
from support.script import comparable

JOBS: Final = ("event_enrichment", "session_analytics", "realtime_metrics", "anomaly_detection")
KINDS: Final = ("executor killed", "worker killed", "executor stopped", "driver killed")
WEIGHTS: Final = (6, 6, 2, 1)
STOPPED: Final = 5.0
"""Seconds that an executor is cut off."""
BETWEEN: Final = (3.0, 20.0)
"""Seconds between two blows: an executor that dies before its worker has imported Beam proves nothing."""
CONF: Final = {
    "spark.ui.enabled": "false",
    "spark.executor.memory": "512m",
    "spark.speculation": "true",
    "spark.speculation.multiplier": "3",
    "spark.task.maxFailures": "8",
    "spark.shuffle.readHostLocalDisk": "false",
    "spark.shuffle.io.maxRetries": "1",
    "spark.shuffle.io.retryWait": "1s",
}


@dataclass
class Chaos:
    """A job that runs again and again until it ends by itself.

    Attributes:
        done: what was done, by kind; only blows that met something count.
    """

    cluster: spark.Cluster
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def run(self, job: str, arguments: list[str], kills: int) -> int:
        """Start the job, start it again when its driver was killed, until it ends with everything read.

        Returns:
            How many blows it had; fewer than `kills` when it ended before.
        """
        struck, program = 0, self._start(job, arguments)
        while True:
            try:
                program.wait(self.chance.uniform(*BETWEEN) if struck < kills else None)
            except subprocess.TimeoutExpired:
                struck += self._strike(program)
                continue
            if program.returncode == 0:
                return struck
            if program.returncode != -signal.SIGKILL and struck >= 3 * kills:
                raise RuntimeError(f"{job} does not get to its end: exit status {program.returncode}")
            self.done[f"start after exit {program.returncode}"] += 1
            program = self._start(job, arguments)

    def _start(self, job: str, arguments: list[str]) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        return subprocess.Popen([sys.executable, "-m", f"pipelines.{job}", *arguments], env=environment)

    def _strike(self, program: "subprocess.Popen[bytes]") -> bool:
        """One blow; whether it met anything."""
        [kind] = self.chance.choices(KINDS, WEIGHTS)
        executors = self.cluster.executors()
        if kind == "driver killed":
            program.kill()
        elif not executors:
            return False
        else:
            executor = self.chance.choice(executors)
            if not self._strike_executor(kind, executor):
                return False
        self.done[kind] += 1
        return True

    def _strike_executor(self, kind: str, executor: psutil.Process) -> bool:
        try:
            if kind == "executor killed":
                executor.kill()
            elif kind == "executor stopped":
                executor.suspend()
                time.sleep(STOPPED)
                executor.resume()
            else:
                workers = [child for child in executor.children(recursive=True) if not child.children()]
                self.chance.choice(workers).kill()
        except (psutil.NoSuchProcess, IndexError):
            return False
        return True


def tables(lake: Path) -> dict[str, pl.DataFrame]:
    """Final rows of every table, without what goes by processing time."""
    found = {}
    for log in sorted(lake.glob("*/_delta_log")):
        frame = pl.from_arrow(DeltaTable(str(log.parent)).to_pyarrow_table())
        assert isinstance(frame, pl.DataFrame)
        found[log.parent.name] = comparable(timeless(log.parent.name, latest(frame)))
    return found


def compared(found: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> tuple[int, int]:
    """Rows that are lost, and rows that are too many, over all tables."""
    lost = extra = 0
    for name, frame in expected.items():
        other = found.get(name, frame.clear())
        keys = frame.columns
        lost += frame.join(other, on=keys, how="anti", nulls_equal=True).height
        extra += other.join(frame, on=keys, how="anti", nulls_equal=True).height
        extra += max(0, other.height - other.unique().height - (frame.height - frame.unique().height))
        for number, one in enumerate((other, frame)):
            for row in one.join((frame, other)[number], on=keys, how="anti", nulls_equal=True).head(3).to_dicts():
                sys.stdout.write(f"  {name}, only {('under chaos', 'in process')[number]}: {row}\n")
    return lost, extra


def orphans(lake: Path) -> int:
    """Parquet files that no table refers to."""
    there = {path for path in lake.rglob("*.parquet") if "_delta_log" not in path.parts}
    tables = [DeltaTable(str(log.parent)) for log in lake.glob("*/_delta_log")]
    known = {Path(uri) for table in tables for uri in table.file_uris()}
    return len(there - known)


def vacuum(lake: Path) -> tuple[int, int]:
    """Files that no table refers to, before `lake vacuum` and after it."""
    before = orphans(lake)
    maintain(["vacuum", "--keep_hours=0", f"--lake={lake}"])
    return before, orphans(lake)


def main() -> int:
    """Run it; 1 when rows are lost or too many."""
    parser = argparse.ArgumentParser(prog="make chaos-spark", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100, help="over all jobs")
    parser.add_argument("--events", type=int, default=6000)
    parser.add_argument("--jobs", nargs="*", default=JOBS, choices=JOBS)
    given = parser.parse_args()
    began, wrong = time.monotonic(), 0
    with TemporaryDirectory(prefix="chaos-spark-") as name:
        folder = Path(name)
        write(simulate(Settings(seed=given.seed, events=given.events)), folder / "shop")
        chaos = Chaos(spark.start(folder / "cluster"), random.Random(given.seed))
        try:
            for job in given.jobs:
                wrong += _one(chaos, folder, job, given.kills // len(given.jobs))
        finally:
            chaos.cluster.stop()
    struck = ", ".join(f"{kind}: {count}" for kind, count in sorted(chaos.done.items()))
    sys.stdout.write(f"seed {given.seed}, {time.monotonic() - began:.0f} s; {struck}\n")
    return 1 if wrong else 0


def _one(chaos: Chaos, folder: Path, job: str, kills: int) -> int:
    """The job again and again, until it has had its blows; how many rows are wrong, and files left, over all rounds."""
    common = [f"--source={folder / 'shop' / 'events'}", "--drain", "--num_shards=4", "--warehouse=none"]
    common += ["--max_records_per_epoch=1500", "--progress=none", "--epoch_attempts=20"]
    on = [f"--spark_conf={key}={value}" for key, value in CONF.items()]
    on += ["--runner=PySparkRunner", f"--spark_master={chaos.cluster.url}", "--shared_filesystem"]
    calm, flags = _place(folder / job / "calm")
    subprocess.run([sys.executable, "-m", f"pipelines.{job}", *common, *flags], check=True)
    expected = tables(calm)
    wrong = struck = rounds = 0
    while struck < kills:
        rounds += 1
        lake, flags = _place(folder / job / f"chaos-{rounds}")
        struck += chaos.run(job, [*common, *flags, *on], kills - struck)
        wrong += _judged(job, lake, expected, struck)
    return wrong


def _place(folder: Path) -> tuple[Path, list[str]]:
    return folder / "lake", [f"--checkpoint={folder / 'checkpoint'}", f"--lake={folder / 'lake'}"]


def _judged(job: str, lake: Path, expected: dict[str, pl.DataFrame], struck: int) -> int:
    lost, extra = compared(tables(lake), expected)
    before, left = vacuum(lake)
    changed = compared(tables(lake), expected) != (lost, extra)
    rows = sum(frame.height for frame in expected.values())
    told = f"{job:18}{rows:>8} rows, {struck} blows so far: lost {lost}, too many {extra}"
    told += f", files that nobody refers to: {before}, after vacuum {left}"
    sys.stdout.write(f"{told}{', AND VACUUM CHANGED ROWS' if changed else ''}\n")
    sys.stdout.flush()
    return lost + extra + left + changed


if __name__ == "__main__":
    sys.exit(main())
