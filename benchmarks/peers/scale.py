"""How our cost grows: with input (whole jobs), with open state, with keys and with skew (kernels, state in files)."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import sessions, state
from benchmarks.enrichment import make_shop
from benchmarks.measure import Cost
from benchmarks.peers.engines import JOBS, Place, pure

Point = dict[str, Any]
"""A measured point: `what` grows, `name` of the line, `x`, and `cost` with its unit."""

KEYS: Final = (20_000, 200_000, 2_000_000)
EPOCH: Final = 10_000  # rows of an epoch on top of these keys
VISITORS: Final = (5_000, 50_000, 500_000)
SKEWS: Final = (("even", 0.0), ("one visitor has 90 %", 0.9), ("one has all", 1.0))


def by_input(folder: Path, sizes: Sequence[int], jobs: Sequence[str] = JOBS) -> list[Point]:
    """CPU seconds, wall and peak memory of whole jobs over growing inputs."""
    points = []
    for size in sizes:
        shop, lines = make_shop(folder, size)
        for job in jobs:
            out = folder / "out" / job
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            cost: Cost = pure().run(job, Place(shop, out))
            point = {"what": "input", "name": job, "x": lines, "cost": cost.cpu}
            points.append({**point, "wall": cost.wall, "peak_mb": cost.peak_mb})
            _say(points[-1])
            shutil.rmtree(out)
    return points


def by_state(keys: Sequence[int] = KEYS) -> list[Point]:
    """CPU milliseconds of an epoch of EPOCH rows on top of open keys; half the rows are of keys that are there."""
    points = []
    for name, kernel, frames in state.CASES:
        state.cost(kernel, frames, keys[0], EPOCH)  # warm
        for size in keys:
            seconds, rows, each = state.cost(kernel, frames, size, EPOCH)
            points.append({"what": "state", "name": name, "x": size, "cost": seconds * 1000})
            points[-1] |= {"rows": rows, "bytes": each}
            _say(points[-1])
    return points


def by_keys(visitors: Sequence[int] = VISITORS) -> list[Point]:
    """CPU microseconds an event of the session kernel with funnels and carts, by visitors and by skew."""
    sessions.speed(sessions.WHOLE, sessions.events(0))  # warm
    points = []
    for count in visitors:
        cost = 1e6 / sessions.speed(sessions.WHOLE, sessions.events(0, visitors=count))
        points.append({"what": "keys", "name": "sessions, funnels, carts", "x": count, "cost": cost})
        _say(points[-1])
    for name, heavy in SKEWS:
        cost = 1e6 / sessions.speed(sessions.WHOLE, sessions.events(heavy))
        points.append({"what": "skew", "name": name, "x": round(heavy * 100), "cost": cost})
        _say(points[-1])
    return points


def _say(point: Point) -> None:
    print(f"  {point['what']}, {point['name']}, {point['x']:,}: {point['cost']:.2f}", flush=True)
