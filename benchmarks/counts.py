"""What the jobs cost in counts instead of seconds: the same on every machine, however busy it is.

`python -m benchmarks.counts` prints them per 100,000 lines beside those that are kept in `counts.json`; with `--write`
it keeps them anew. The input is simulated from a fixed seed; shards, rows of an epoch and threads are fixed; each job
is a process of its own. `tests/benchmarks/test_counts.py` holds them at night.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.enrichment import make_shop
from benchmarks.measure import ROOT, table
from ecompulse.epochs.shard_input import ShardInput

KEPT: Final = Path(__file__).with_name("counts.json")
JOBS: Final = ("event_enrichment", "session_analytics", "realtime_metrics", "anomaly_detection")
FLAGS: Final = ("--num_shards=4", "--max_records_per_epoch=20000", "--keep_epochs=100000", "--drain")
COLLECTING: Final = ("collect", "_collect_eager")
"""Where Polars runs a query, also one that was written on a frame."""
EVENTS: Final = 60_000
PER: Final = 100_000
SHARE: Final = 0.1
"""Of the kept figure: what is further from it is a change that somebody must have meant."""

Counts = dict[str, dict[str, int]]
"""By job, per 100,000 lines: `collects` (queries that Polars runs), `shuffled_kb` at groupings, `state_kb` written."""


def size_of(value: Any) -> int:
    """Bytes of what waits at a grouping; TypeError for what it does not know, lest it counts nothing one day."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, pl.DataFrame):
        return int(value.estimated_size())
    if isinstance(value, ShardInput):
        return size_of(json.dumps(value.head) if value.rows is None else value.rows)
    if isinstance(value, Mapping):
        return size_of(list(value.items()))
    if isinstance(value, tuple | list):
        return sum(map(size_of, value))
    if value is None or isinstance(value, int | float):
        return 8
    raise TypeError(f"bytes of a {type(value).__name__}: not known to benchmarks.counts")


def count(counts: Counter[str]) -> None:
    """Let this process count from now on: collects and shuffled bytes, with one thread in the engine."""
    from ecompulse.runners import engine  # noqa: PLC0415  # Beam is imported only where a job runs
    from ecompulse.runners.local import LocalRunner  # noqa: PLC0415
    from ecompulse.runners.local.graph import Kind  # noqa: PLC0415
    from ecompulse.runners.local.lane import Lane  # noqa: PLC0415

    give = Lane._give  # noqa: SLF001  # there is no public place for all that is grouped

    def counted_give(self: Lane, node: Any, value: Any) -> None:
        if node.kind is Kind.GROUP:
            counts["shuffled"] += size_of(value.value)
        give(self, node, value)

    class OneThread(LocalRunner):
        def __init__(self, *, frozen: bool = False) -> None:
            super().__init__(1, frozen=frozen)

    def counted(collect: Callable[..., Any]) -> Callable[..., Any]:
        def collected(*args: Any, **named: Any) -> Any:
            counts["collects"] += 1
            return collect(*args, **named)

        return collected

    for name in COLLECTING:
        setattr(pl.LazyFrame, name, counted(getattr(pl.LazyFrame, name)))
    Lane._give = counted_give  # type: ignore[method-assign]  # noqa: SLF001
    engine.LocalRunner = OneThread  # type: ignore[misc]


def one(job: str, shop: str, lines: str, out: str) -> int:
    """Run a job in this process and print its counts."""
    counts = Counter[str]()
    main: Callable[[list[str]], int] = import_module(f"pipelines.{job}").main
    count(counts)
    where = [f"--source={shop}/events", f"--enrich={shop}/enrich.yaml", f"--lake={out}/lake", f"--checkpoint={out}/c"]
    status = main([*where, "--warehouse=none", "--progress=none", *FLAGS])
    written = sum(path.stat().st_size for path in Path(out, "c", "state").rglob("*") if path.is_file())
    share = PER / int(lines)
    found = {
        "collects": round(counts["collects"] * share), "shuffled_kb": round(counts["shuffled"] * share / 1024),
        "state_kb": round(written * share / 1024),
    }  # fmt: skip
    print(json.dumps(found))
    return status


def measured(shop: Path, lines: int, job: str) -> dict[str, int]:
    """Counts of one job on a simulated shop; its output goes beside it."""
    out = shop.parent / job
    command = [sys.executable, "-m", "benchmarks.counts", job, str(shop), str(lines), str(out)]
    threads = {**os.environ, "POLARS_MAX_THREADS": "2"}
    done = subprocess.run(command, cwd=ROOT, env=threads, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{job}: {done.stderr[-2000:]}")
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def kept() -> Counts:
    """Those that are held."""
    found: Counts = json.loads(KEPT.read_text())
    return found


def run(*, write: bool = False) -> None:
    """Measure and print, or keep."""
    with tempfile.TemporaryDirectory() as folder:
        shop, lines = make_shop(Path(folder), EVENTS)
        found = {job: measured(shop, lines, job) for job in JOBS}
    if write:
        KEPT.write_text(json.dumps(found, indent=2) + "\n")
    rows = [
        (job, name, f"{value:,}", f"{kept()[job][name]:,}")
        for job, counts in found.items()
        for name, value in counts.items()
    ]
    table(("job", "per 100,000 lines", "now", "kept"), rows)


if __name__ == "__main__":
    given = sys.argv[1:]
    if given and given[0] in JOBS:
        sys.exit(one(*given))
    run(write="--write" in given)
