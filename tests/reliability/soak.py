"""`make soak`: a job at a fixed rate for half an hour, restarted every few minutes: does anything grow?

Samples memory, open files, sockets and threads of the job, and the files of checkpoint, backup and lake. A process's
own measures are held against the same life of it, after a warm-up; those of places against the whole run. Every
second restart is a SIGKILL, which may leave something behind.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

import psutil

from reliability.kills import within
from reliability.places import live_shop, produced, say, shown
from services import s3
from support.live import Life, LiveShop, Verdict, verdict

EVERY: Final = 5.0  # seconds between samples
WARM: Final = 0.35  # of a life: allocators and connections settle

OWN: Final = {"rss_mb": 16.0, "files": 3.0, "sockets": 3.0, "threads": 3.0}
"""Measures of a process, with what they may move by without anybody calling it growth."""

PLACES: Final = {"checkpoint": 20.0, "checkpoint_mb": 0.5, "backup": 20.0, "lake/epoch": 0.5, "lake_kb/epoch": 8.0}
"""Measures of places: files, MB; of the lake, which keeps all rows, per epoch."""

SHARE: Final = 0.1
"""Of its median, that a measure may move by within what is judged."""


@dataclass(frozen=True)
class Sample:
    """What was there at a moment, in seconds since the start, of the life of that number."""

    at: float
    life: int
    age: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Trend:
    """How a measure moves at its slope: by `moved` in the time of the whole soak, by `hourly` in an hour."""

    name: str
    median: float
    moved: float
    hourly: float
    grows: bool


def slope(pairs: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen: the median slope between any two of (time, value); 0 for fewer than two."""
    slopes = [(b - a) / (after - before) for (before, a), (after, b) in combinations(pairs, 2) if after > before]
    return statistics.median(slopes) if slopes else 0.0


def trend(name: str, series: Sequence[Sequence[tuple[float, float]]], allowed: float, span: float) -> Trend:
    """Of a measure in several lives, each (time, value): the median of their slopes, and what it comes to in `span`."""
    series = [pairs for pairs in series if len(pairs) > 2]
    if not series:
        return Trend(name, 0.0, 0.0, 0.0, grows=False)
    steep = statistics.median(slope(pairs) for pairs in series)
    median = statistics.median(value for pairs in series for _, value in pairs)
    moved = steep * span
    return Trend(name, median, moved, steep * 3600, grows=moved > max(allowed, SHARE * median))


def trends(samples: Sequence[Sample], life: float) -> list[Trend]:
    """Of every measure; `life` is the seconds between restarts."""
    span = samples[-1].at - samples[0].at
    lives = sorted({sample.life for sample in samples})
    warm = [sample for sample in samples if sample.age >= WARM * life]
    own = [
        trend(name, [[(s.at, s.values[name]) for s in warm if s.life == number] for number in lives], allowed, span)
        for name, allowed in OWN.items()
    ]
    later = [sample for sample in samples if sample.at >= WARM * life]
    places = [trend(name, [[(s.at, s.values[name]) for s in later]], allowed, span) for name, allowed in PLACES.items()]
    return [*own, *places]


@dataclass
class Soak:
    """A job that lives and is restarted, beside a producer; times are in seconds."""

    shop: LiveShop
    seconds: float
    life: float
    say: Callable[[str], None]
    every: float = EVERY
    samples: list[Sample] = field(default_factory=list)

    def run(self) -> None:
        """All of it; raises AssertionError when the job ends by itself."""
        began = time.monotonic()
        self.say(" ".join(f"{name:>13}" for name in ("minute", "life", *OWN, *PLACES)))
        while (left := self.seconds - (time.monotonic() - began)) > self.every:
            life = self.shop.live()
            assert within(120, lambda: life.ended or life.progress), life.said  # noqa: B023
            born = time.monotonic()
            while (age := time.monotonic() - born) < min(self.life, left):
                time.sleep(self.every)
                assert not life.ended, life.said
                self._sample(life, time.monotonic() - began, age)
            life.process.send_signal((signal.SIGTERM, signal.SIGKILL)[len(self.shop.lives) % 2])
            life.wait()

    def _sample(self, life: Life, at: float, age: float) -> None:
        values = {**of_process(life), **of_places(self.shop)}
        self.samples.append(Sample(at, len(self.shop.lives), age, values))
        if len(self.samples) % 6 == 1:
            shown = (f"{at / 60:.1f}", str(len(self.shop.lives)), *(f"{value:,.1f}" for value in values.values()))
            self.say(" ".join(f"{text:>13}" for text in shown))


def of_process(life: Life) -> dict[str, float]:
    """Memory, descriptors, sockets and threads, of its children too."""
    one = psutil.Process(life.process.pid)
    every = [one, *one.children(recursive=True)]
    return {
        "rss_mb": sum(process.memory_info().rss for process in every) / 1e6,
        "files": float(sum(process.num_fds() for process in every)),
        "sockets": float(sum(len(process.net_connections(kind="inet")) for process in every)),
        "threads": float(sum(process.num_threads() for process in every)),
    }


def of_places(shop: LiveShop) -> dict[str, float]:
    """Files and sizes of the checkpoint on the disk, of backup and lake in the bucket."""
    sizes = [size_of(path) for path in (shop.root / "checkpoint").rglob("*")]
    client, found = s3.client(shop.servers.moto), {}
    for place in ("backup", "lake"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=shop.bucket, Prefix=f"{place}/")
        found[place] = [entry["Size"] for page in pages for entry in page.get("Contents", [])]
    epochs = max((progress["batchId"] for life in shop.lives[-2:] for progress in life.progress), default=1)
    return {
        "checkpoint": float(len([size for size in sizes if size is not None])),
        "checkpoint_mb": sum(filter(None, sizes)) / 1e6,
        "backup": float(len(found["backup"])),
        "lake/epoch": len(found["lake"]) / epochs,
        "lake_kb/epoch": sum(found["lake"]) / 1e3 / epochs,
    }


def size_of(path: Path) -> int | None:
    """Of a file; None for what is none, or is gone meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else None
    except FileNotFoundError:
        return None


def endure(
    shop: LiveShop, *, seconds: float, life: float, rate: float, say: Callable[[str], None], every: float = EVERY
) -> tuple[Soak, Verdict]:
    """Run a job beside a producer, drain it, and read all sinks."""
    soak = Soak(shop, seconds, life, say, every)
    with produced(shop, rate):
        soak.run()
    last = shop.live("--trigger=available-now")
    assert last.wait() == 0, last.said
    return soak, verdict(shop)


def main() -> int:
    """Run it; 1 when something grows, or a sink is not what it should be."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--restart", type=float, default=5, help="minutes between restarts")
    parser.add_argument("--rate", type=float, default=200, help="events per second")
    given = parser.parse_args()
    life = 60 * given.restart
    with live_shop("soak", given.rate, checkpoint_on_disk=True) as shop:  # a disk's files are what there is to grow
        soak, found = endure(shop, seconds=60 * given.minutes, life=life, rate=given.rate, say=say)
    judged = trends(soak.samples, life)
    say(f"\n{'measure':14}{'median':>10}{'moved':>10}{'per hour':>10}")
    for one in judged:
        say(f"{one.name:14}{one.median:>10.1f}{one.moved:>10.2f}{one.hourly:>10.1f}  {'GROWS' if one.grows else ''}")
    say("\n".join(["", *shown(found)]))
    return 1 if any(one.grows for one in judged) or not found.whole else 0


if __name__ == "__main__":
    sys.exit(main())
