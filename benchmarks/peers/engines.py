"""How each engine is started on a job, and what it costs."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.measure import ROOT, Cost, tree
from ecompulse.kernels.decode.native import SWITCH

JOBS: Final = ("event_enrichment", "session_analytics", "realtime_metrics", "anomaly_detection")
OURS: Final = "ecompulse"
NATIVE: Final = "ecompulse, native"
"""With the native pass over JSON rows."""
BOTH: Final = frozenset((OURS, NATIVE))
SAME_ROWS: Final = ("--bots=include", "--keep_duplicates")
"""No peer knows robots, or leaves out copies: ours keeps them, so that the rows are the same."""
TWO_PROCESSES: Final = frozenset({"event_enrichment"})
"""Bytewax's flows that are faster so; see `bytewax_flow`."""
QUIET: Final = {"SPARK_LOCAL_IP": "127.0.0.1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Place:
    """Where a run finds its events, and what it may write to."""

    shop: Path
    out: Path
    broker: str = ""

    @property
    def topic(self) -> str:
        """The shop's events in Kafka."""
        return self.shop.name

    @property
    def lake(self) -> Path:
        """Our Delta tables."""
        return self.out / "lake"


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        command: of a job at a place.
        jobs: that it has, and by which name; further names of a job are variants of it.
        share: part of the events that it gets.
        waits: whether its last line says how long it waited at its end for nothing.
    """

    name: str
    command: Callable[[str, Place], list[str]]
    jobs: Mapping[str, str] = field(default_factory=lambda: {job: job for job in JOBS})
    share: float = 1.0
    waits: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, job: str, place: Place) -> Cost:
        """Run a job to its end."""
        cost, last = tree(self.command(job, place), {**QUIET, **self.environment})
        return Cost(cost.cpu, cost.peak_mb, cost.wall - float(last)) if self.waits else cost


def ours(job: str, place: Place, *flags: str) -> list[str]:
    """One of our jobs, with all cores, into a fresh lake."""
    given = [f"--source={place.shop / 'events'}", f"--enrich={place.shop / 'enrich.yaml'}", f"--lake={place.lake}"]
    given += [f"--checkpoint={place.out / 'c'}", "--warehouse=none", "--progress=none", *(flags or ["--drain"])]
    return [sys.executable, "-m", f"pipelines.{job}", *given, *([] if job == "event_enrichment" else SAME_ROWS)]


def pure() -> Engine:
    """Ours as everybody has it, even where the native pass is installed."""
    return Engine(OURS, ours, environment={SWITCH: "0"})


def native(_python: str) -> Engine:
    """Ours with the native pass, which makes the same tables (`tests/kernels/decode`)."""
    return Engine(NATIVE, ours, environment={SWITCH: "1"})


def spark(python: str) -> Engine:
    """PySpark's Structured Streaming."""

    def command(job: str, place: Place) -> list[str]:
        return [python, "-m", "benchmarks.peers.spark", job, str(place.shop), str(place.out)]

    jobs = {job: job for job in JOBS} | {"event_enrichment_joins": "event_enrichment"}
    return Engine("Spark", command, jobs, environment={"PYSPARK_PYTHON": python})


def bytewax(python: str) -> Engine:
    """Bytewax."""

    def command(job: str, place: Place) -> list[str]:
        flow = f"benchmarks.peers.bytewax_flow:make({job!r}, {str(place.shop)!r}, {str(place.out)!r})"
        runner = ["bytewax.testing", "-p", "2"] if job in TWO_PROCESSES else ["bytewax.run"]
        return [python, "-m", *runner, flow]

    return Engine("Bytewax", command)


def quix(python: str) -> Engine:
    """Quix Streams, on a broker that runs beside it and is not counted."""

    def command(job: str, place: Place) -> list[str]:
        where = [str(place.shop), str(place.out), place.broker, place.topic]
        return [python, "-m", "benchmarks.peers.quix", job, *where]

    return Engine("Quix", command, share=0.2, waits=True)


def machine() -> str:
    """Of what kind this is: processor, cores, memory."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB, Python {sys.version.split()[0]}"


__all__ = [
    "BOTH", "JOBS", "NATIVE", "OURS", "ROOT", "Engine", "Place",
    "bytewax", "machine", "native", "ours", "pure", "quix", "spark",
]  # fmt: skip
