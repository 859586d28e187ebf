"""How long an event takes from its creation until readers of the table see it, at a fixed rate: ours beside Spark's.

A producer of its own writes a file of JSON lines each 100 ms, each event with the time of its creation, and renames it
into the folder that the engine watches. Both engines look once a second (`--trigger=1s`, `processingTime`), enrich and
append to a table of files. An event is visible when the table's log names its file: the time at which the entry of the
log was written, less the event's own. The first seconds, in which engines warm up, do not count. Spark runs the variant
that does least: joins and rates, no Python.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.enrichment import make_shop
from benchmarks.measure import ROOT, table
from benchmarks.peers.engines import QUIET, Place, ours, pure
from benchmarks.peers.environment import peers_python

RATES: Final = (3_000, 10_000)
SECONDS: Final = 55.0
WARM: Final = 30.0  # seconds of events that do not count: a JVM starts, and catches up with what came meanwhile
AFTER: Final = 12.0  # seconds that the last events have to become visible
EACH: Final = 0.1
TEMPLATES: Final = 20_000


def produce(shop: str, folder: str, rate: str, seconds: str) -> None:
    """Write files at a fixed rate; a delay is made up for, and shows in the events' times."""
    lines = [line for path in sorted(Path(shop, "events").iterdir()) for line in path.read_bytes().splitlines()]
    tails = [tail for line in lines if (tail := _tail(line))]
    count, began, number = round(int(rate) * EACH), time.time(), 0
    while number * EACH < float(seconds):
        due = began + (number + 1) * EACH
        time.sleep(max(0.0, due - time.time()))
        at = round(due * 1000)
        chosen = (tails[(number * count + index) % len(tails)] for index in range(count))
        text = "".join(f'{{"event_id":"{at}-{index}","event_time":{at},{tail}\n' for index, tail in enumerate(chosen))
        hidden = Path(folder, f".{number:06d}.tmp")
        hidden.write_text(text)
        hidden.rename(Path(folder, f"events-{number:06d}.jsonl"))
        number += 1


def _tail(line: bytes) -> str | None:
    """What follows an event's id and time."""
    try:
        event = json.loads(line)
        rest = {name: value for name, value in event.items() if name not in {"event_id", "event_time"}}
    except (ValueError, AttributeError):
        return None
    return json.dumps(rest)[1:] if isinstance(event.get("url"), str) else None


def visible_ours(lake: Path) -> Iterator[tuple[float, Path]]:
    """Time (s since 1970) and file of all appends to our table."""
    folder = lake / "enriched_events"
    for entry in sorted((folder / "_delta_log").glob("*.json")):
        for line in entry.read_text().splitlines():
            added = json.loads(line).get("add")
            if added:
                yield entry.stat().st_mtime, folder / added["path"]


def visible_spark(out: Path) -> Iterator[tuple[float, Path]]:
    """The same of Spark's sink of files, whose log is `_spark_metadata`."""
    for entry in (out / "rows" / "_spark_metadata").iterdir():
        if entry.name.isdigit():
            for line in entry.read_text().splitlines()[1:]:
                yield entry.stat().st_mtime, Path(json.loads(line)["path"].removeprefix("file://"))


def quantiles(files: Iterator[tuple[float, Path]], since: float) -> dict[str, float]:
    """Seconds of latency of the events created after `since`: p50, p99, max, and how many there were."""
    found = []
    for at, path in files:
        rows = pl.read_parquet(path, columns=["event_time"], hive_partitioning=False)
        created = rows["event_time"].dt.epoch("ms") / 1000
        found.append(at - created.filter(created >= since))
    ages = pl.concat(found)
    return {
        "events": float(ages.len()), "p50": float(ages.quantile(0.5) or 0), "p99": float(ages.quantile(0.99) or 0),
        "max": float(ages.max() or 0),  # type: ignore[arg-type]
    }  # fmt: skip


Visible = Callable[[Path], Iterator[tuple[float, Path]]]


def measure(command: Sequence[str], place: Place, visible: Visible, rate: int, seconds: float) -> dict[str, float]:
    """Start an engine on an empty folder, then the producer; end the engine when all must be visible."""
    environment = {**os.environ, **QUIET, **pure().environment}
    with tempfile.TemporaryFile() as said:
        engine = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True)
        try:
            began = time.time()
            template = place.out.parent / "template"
            making = [sys.executable, "-m", "benchmarks.latency", str(template), str(place.shop / "events")]
            subprocess.run([*making, str(rate), str(seconds)], cwd=ROOT, check=True)
            time.sleep(AFTER)
            if engine.poll() is not None:
                said.seek(0)
                raise RuntimeError(said.read().decode()[-2000:])
        finally:
            _end(engine)
    return quantiles(visible(place.out), began + WARM)


def _end(engine: "subprocess.Popen[bytes]") -> None:
    os.killpg(engine.pid, signal.SIGTERM)
    try:
        engine.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()


def results(
    folder: Path, python: str, rates: Sequence[int] = RATES, seconds: float = SECONDS
) -> list[dict[str, object]]:
    """Both engines at all rates."""
    made, _ = make_shop(folder, TEMPLATES)
    found: list[dict[str, object]] = []
    for rate in rates:
        for name in ("ecompulse", "Spark"):
            base = folder / f"{name}-{rate}"
            shop = base / "shop"
            (shop / "events").mkdir(parents=True)
            for path in made.iterdir():
                if path.is_file():
                    (shop / path.name).symlink_to(path)
            (base / "template").symlink_to(made)
            place = Place(shop, base / "out")
            if name == "Spark":
                job = ["benchmarks.peers.spark", "event_enrichment_joins", str(shop), str(place.out), "1 second"]
                told = measure([python, "-m", *job], place, visible_spark, rate, seconds)
            else:
                command = ours("event_enrichment", place, "--trigger=1s")
                told = measure(command, place, lambda out: visible_ours(out / "lake"), rate, seconds)
            found.append({"engine": name, "rate": rate, **told})
            print(f"  {rate:,} events/s, {name}: {told}", flush=True)
    return found


def run() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        rows = results(Path(folder), peers_python())
    print(f"\n{datetime.now(UTC):%Y-%m-%d}\n")
    header = ("events/s", "engine", "p50 s", "p99 s", "max s", "events")
    cells = [
        (r["rate"], r["engine"], *(f"{r[n]:.2f}" for n in ("p50", "p99", "max")), f"{r['events']:.0f}") for r in rows
    ]
    table(header, cells)


if __name__ == "__main__":
    produce(*sys.argv[1:])
