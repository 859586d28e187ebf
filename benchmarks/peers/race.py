"""All engines over the same events, one after the other in each round, at two sizes: costs and agreement."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.enrichment import make_shop
from benchmarks.measure import ROOT
from benchmarks.peers.agreement import compare
from benchmarks.peers.broker import broker
from benchmarks.peers.engines import BOTH, JOBS, OURS, Engine, Place, pure

Run = dict[str, Any]
"""One run: job, variant, engine, size (lines), round, cpu, wall, peak_mb."""

LEAST: Final = 0.3
"""Seconds between two sizes from which there is a rate."""


@dataclass
class Race:
    """Runs and comparisons so far.

    Attributes:
        folder: for shops and outputs.
        sizes: events asked for, the smaller first.
        python: of the peers' environment.
    """

    folder: Path
    sizes: tuple[int, int]
    rounds: int
    engines: Sequence[Engine]
    python: str
    jobs: Sequence[str] = JOBS

    def run(self) -> dict[str, Any]:
        """Run all; the smaller size's outputs are compared."""
        load = os.getloadavg()[0]
        shops = {size: make_shop(self.folder, size) for size in sorted(self._sizes())}
        self.lines = dict(shops.values())
        self.runs: list[Run] = []
        self.agreement: list[dict[str, Any]] = []
        with ExitStack() as stack:
            self.address = ""
            if any(engine.waits for engine in self.engines):
                self.address = stack.enter_context(broker())
                for size in self._sizes_of(next(engine for engine in self.engines if engine.waits)):
                    self._fill(shops[size][0])
            for job in self.jobs:
                self._job(job, {size: shop for size, (shop, _) in shops.items()})
        return {"runs": self.runs, "agreement": self.agreement, "load": load}

    def _sizes_of(self, engine: Engine) -> tuple[int, int]:
        return round(self.sizes[0] * engine.share), round(self.sizes[1] * engine.share)

    def _sizes(self) -> set[int]:
        return {size for engine in self.engines for size in self._sizes_of(engine)} | {*self.sizes}

    def _fill(self, shop: Path) -> None:
        command = [self.python, "-m", "benchmarks.peers.broker", self.address, str(shop), shop.name]
        subprocess.run(command, cwd=ROOT, check=True)

    def _job(self, job: str, shops: dict[int, Path]) -> None:
        compared: set[tuple[str, Path]] = set()
        for number in range(self.rounds):
            for index in (0, 1):
                for engine, variant in self._starters(job):
                    shop = shops[self._sizes_of(engine)[index]]
                    place = Place(shop, self.folder / "out" / engine.name / variant / shop.name, self.address)
                    if not self._once(engine, variant, place, number):
                        continue
                    first = shop == shops[self.sizes[0]] and (variant, place.out) not in compared
                    if first and engine.name not in BOTH:
                        compared.add((variant, place.out))
                        self._compare(engine, variant, place)
                    if shop != shops[self.sizes[0]]:
                        shutil.rmtree(place.out)

    def _starters(self, job: str) -> Iterator[tuple[Engine, str]]:
        yield pure(), job
        for engine in self.engines:
            yield from ((engine, variant) for variant, found in engine.jobs.items() if found == job)

    def _once(self, engine: Engine, variant: str, place: Place, number: int) -> bool:
        """Run and note it; a peer that fails is noted too, and the others go on."""
        shutil.rmtree(place.out, ignore_errors=True)
        place.out.mkdir(parents=True)
        try:
            cost = engine.run(variant, place)
        except RuntimeError as error:
            if engine.name == OURS:
                raise
            print(f"  {variant}, {engine.name}: {error}", flush=True)
            found = {"failed": str(error).strip().splitlines()[-1][:200]}
            self.agreement.append({"engine": engine.name, "variant": variant, "found": found})
            return False
        facts = {"engine": engine.name, "variant": variant, "size": self.lines[place.shop], "round": number}
        self.runs.append({**facts, **asdict(cost)})
        print(
            f"  {variant}, {facts['size']:,} lines, {engine.name}: {cost.cpu:.1f} s CPU, {cost.wall:.1f} s, "
            f"{cost.peak_mb:.0f} MB", flush=True,
        )  # fmt: skip
        return True

    def _compare(self, engine: Engine, variant: str, place: Place) -> None:
        job = engine.jobs[variant]
        lake = self.folder / "out" / OURS / job / place.shop.name / "lake"
        try:
            found: dict[str, Any] = compare(job, lake, place.out, place.shop)
        except (pl.exceptions.PolarsError, OSError) as error:
            found = {"not compared": str(error).splitlines()[0]}
        self.agreement.append({"engine": engine.name, "variant": variant, "found": found})
        print(f"  {variant}, {engine.name} beside ours: {found}", flush=True)


def marginal(runs: Sequence[Run], engine: str, variant: str) -> dict[str, float | None]:
    """Events per CPU second and per second of wall between the two sizes, peak at the greater; medians of rounds.

    None where the greater size took hardly longer: other work on the machine has made the difference meaningless.
    """
    frame = pl.DataFrame([run for run in runs if (run["engine"], run["variant"]) == (engine, variant)])
    if frame.is_empty() or frame["size"].n_unique() < 2:
        return {}
    small, large = frame.group_by("size").agg(pl.col("cpu", "wall", "peak_mb").median()).sort("size").to_dicts()
    more = large["size"] - small["size"]
    took = {name: large[name] - small[name] for name in ("cpu", "wall")}
    rates = {name: more / seconds if seconds > LEAST else None for name, seconds in took.items()}
    start = small["cpu"] - small["size"] * took["cpu"] / more
    return {**rates, "peak_mb": large["peak_mb"], "start": start, "size": large["size"]}
