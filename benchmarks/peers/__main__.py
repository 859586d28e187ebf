"""`make bench-peers`, or `python -m benchmarks.peers`: our jobs beside other engines; writes `benchmarks/RESULTS.md`.

Figures are kept in `build/peers.json` part by part, so that one part can be measured again (`--parts=latency`) and the
page rendered anew without measuring (`--parts=`).
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import latency
from benchmarks.measure import ROOT
from benchmarks.peers import scale
from benchmarks.peers.engines import BOTH, JOBS, OURS, bytewax, machine, native, quix, spark
from benchmarks.peers.environment import peers_python, versions
from benchmarks.peers.race import Race, marginal
from benchmarks.peers.report import render
from ecompulse.kernels.decode.native import INTERFACE

FACTS: Final = ROOT / "build" / "peers.json"
PAGE: Final = ROOT / "benchmarks" / "RESULTS.md"
PLOTS: Final = ROOT / "benchmarks" / "plots"
PARTS: Final = ("race", "latency", "scale")
ENGINES: Final = {
    **({"native": native} if INTERFACE else {}),  # `make native`
    "spark": spark,
    "bytewax": bytewax,
    "quix": quix,
}


def numbers(text: str) -> list[int]:
    """Of a flag's list."""
    return [int(number) for number in text.split(",") if number]


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Of a flag's list, which may name some of what there is."""
    names = list(known)

    def words(text: str) -> list[str]:
        chosen = [word for word in text.split(",") if word]
        if unknown := [word for word in chosen if word not in names]:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}, only {', '.join(names)}")
        return chosen

    return words


def flags(given: Sequence[str] | None) -> argparse.Namespace:
    """What is to be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--sizes", type=numbers, default=[200_000, 1_000_000], help="events, the smaller size first")
    parser.add_argument("--rounds", type=int, default=1, help="of each size; the medians are shown")
    parser.add_argument("--jobs", type=some_of(JOBS), default=list(JOBS))
    parser.add_argument("--peers", type=some_of(ENGINES), default=list(ENGINES))
    parser.add_argument("--parts", type=some_of(PARTS), default=list(PARTS), help="race, latency, scale")
    parser.add_argument("--rates", type=numbers, default=list(latency.RATES), help="events a second, for latency")
    parser.add_argument("--seconds", type=float, default=latency.SECONDS, help="of each rate")
    parser.add_argument("--inputs", type=numbers, default=[50_000, 200_000, 800_000], help="events, for scale")
    parser.add_argument("--keys", type=numbers, default=list(scale.KEYS), help="open keys, for scale")
    parser.add_argument("--note", help="for the page: what else the machine did, say")
    return parser.parse_args(given)


def race(asked: argparse.Namespace, python: str) -> dict[str, Any]:
    """Costs, rates and agreement of all engines."""
    with tempfile.TemporaryDirectory(prefix="peers_") as folder:
        engines = [ENGINES[name](python) for name in asked.peers]
        small, large = asked.sizes
        found = Race(Path(folder), (small, large), asked.rounds, engines, python, asked.jobs).run()
    cells = [(OURS, job, job) for job in asked.jobs]
    cells += [(e.name, variant, job) for e in engines for variant, job in e.jobs.items() if job in asked.jobs]
    rates = []
    for engine, variant, job in cells:
        rate = marginal(found["runs"], engine, variant)
        if not rate:
            continue
        name = engine if variant == job else f"{engine}, joins only"
        rates.append({"engine": name, "job": job, **rate})
    return {**found, "rates": rates, "rounds": asked.rounds}


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What was measured now, and of other jobs and engines before."""
    lists = {}
    for name, key in (("runs", "variant"), ("agreement", "variant"), ("rates", "job")):
        again = {(row["engine"], row[key]) for row in new[name]}
        kept = [row for row in old.get(name, []) if (row["engine"], row[key]) not in again]
        lists[name] = sorted(
            [*kept, *new[name]],
            key=lambda row, key=key: (_place(row[key]), row["engine"] not in BOTH, row["engine"]),
        )
    return {**old, **new, **lists}


def _place(name: str) -> int:
    return next(index for index, job in enumerate(JOBS) if name.startswith(job))


def growth(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """How our cost grows."""
    with tempfile.TemporaryDirectory() as folder:
        points = scale.by_input(Path(folder), asked.inputs, asked.jobs)
    return [*points, *scale.by_state(asked.keys), *scale.by_keys()]


def main(given: Sequence[str] | None = None) -> None:
    """Measure the parts that are asked for, draw, write the page."""
    asked, python = flags(given), peers_python()
    facts: dict[str, Any] = json.loads(FACTS.read_text()) if FACTS.exists() else {}
    if asked.note is not None:
        facts["note"] = asked.note
    for part in asked.parts:
        print(f"\n{part}", flush=True)
        if part == "race":
            facts = merged(facts, race(asked, python))
        elif part == "latency":
            with tempfile.TemporaryDirectory() as folder:
                facts["latency"] = latency.results(Path(folder), python, asked.rates, asked.seconds)
        elif part == "scale":
            facts["scale"] = growth(asked)
        facts |= {"machine": machine(), "versions": versions(python), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        FACTS.parent.mkdir(exist_ok=True)
        FACTS.write_text(json.dumps(facts, indent=1))
    subprocess.run([python, "-m", "benchmarks.peers.plots", str(FACTS), str(PLOTS)], cwd=ROOT, check=True)
    PAGE.write_text(render(facts))
    print(f"\nwritten: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
