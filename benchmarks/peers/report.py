"""RESULTS.md from what was measured."""

import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.engines import NATIVE, OURS

HEAD: Final = """\
# Beside other engines

Written by `make bench-peers` (about 25 minutes); the programs are in `benchmarks/peers/`. Do not edit: the words are in
`benchmarks/peers/report.py` and `words.md`.
"""
WORDS: Final = Path(__file__).with_name("words.md")
"""What is said by hand, at the end of the page."""
UNITS: Final = {"input": "CPU s", "state": "CPU ms an epoch", "keys": "us an event", "skew": "us an event"}
GOALS: Final = (
    ("event_enrichment", OURS, "Spark", 6.5, 5.0),
    ("session_analytics", OURS, "Spark", 3.5, 2.5),
    ("realtime_metrics", OURS, "Spark", 4.5, 3.0),
    ("event_enrichment", OURS, "Bytewax", 3.0, None),
    ("event_enrichment", NATIVE, "Bytewax", 3.0, None),
)
"""Job, engine, engine beside it, and how many times its rates are aimed at: of CPU, of wall."""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """In Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def ratio(ours: dict[str, Any], theirs: dict[str, Any], name: str) -> str:
    """How many times theirs ours is; nothing where there is no rate."""
    return f"{ours[name] / theirs[name]:.1f}x" if ours[name] and theirs[name] else "no figure"


def rates(facts: dict[str, Any]) -> Iterator[str]:
    """Costs and rates of each job and engine, and the ratios to ours."""
    yield "\n## Rates\n\n![Rates](plots/rates.svg)\n"
    rows = []
    for row in facts["rates"]:
        ours = next(r for r in facts["rates"] if r["job"] == row["job"] and r["engine"] == OURS)
        ratios = ["", ""] if row is ours else [ratio(ours, row, name) for name in ("cpu", "wall")]
        speeds = [f"{row[name]:,.0f}" if row[name] else "no figure" for name in ("cpu", "wall")]
        figures = (*speeds, f"{row['peak_mb']:,.0f}", f"{row['start']:.1f}")
        rows.append((row["job"], row["engine"], f"{row['size']:,}", *figures, *ratios))
    header = (
        "job",
        "engine",
        "lines",
        "events per CPU s",
        "events per s",
        "peak MB",
        "start, CPU s",
        "ours: CPU",
        "wall",
    )
    yield "\n" + table(header, rows)
    yield from _goals(facts)


def _goals(facts: dict[str, Any]) -> Iterator[str]:
    measured = {(row["job"], row["engine"]): row for row in facts["rates"]}
    rows = []
    for job, name, beside, cpu, wall in GOALS:
        one, other = measured.get((job, name)), measured.get((job, beside))
        if one and other:
            reached = f"{ratio(one, other, 'wall')} of {wall}x" if wall else ""
            rows.append((job, name, beside, f"{ratio(one, other, 'cpu')} of {cpu}x", reached))
    header = ("job", "engine", "beside", "CPU", "wall")
    yield "\nGoals, reached and aimed at:\n\n" + table(header, rows)


def agreement(facts: dict[str, Any]) -> Iterator[str]:
    """What both programs made of the same events."""
    yield "\n## Agreement\n\nOver the smaller input; what the differences are, is said below.\n\n"
    rows = [(found["variant"], found["engine"], _flat(found["found"])) for found in facts["agreement"]]
    yield table(("job", "engine", "found"), rows)


def _flat(found: dict[str, Any]) -> str:
    if "of common events" in found:
        common = found["of common events"]
        figures = [f"{n} {common['ours'][n]:,} and {v:,}" for n, v in common["theirs"].items()]
        return f"rows {found['rows of ours']:,} and {found['rows of theirs']:,}; of common events: {', '.join(figures)}"
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in found.items()
    )


def latency(facts: dict[str, Any]) -> Iterator[str]:
    """Seconds until an event is visible."""
    yield "\n## Latency\n\n![Latency](plots/latency.svg)\n\n"
    rows = [
        (f"{row['rate']:,}", row["engine"], *(f"{row[n]:.2f}" for n in ("p50", "p99", "max")), f"{row['events']:,.0f}")
        for row in facts["latency"]
    ]
    yield table(("events/s", "engine", "p50 s", "p99 s", "max s", "events"), rows)


def growth(facts: dict[str, Any]) -> Iterator[str]:
    """How cost grows, each beside its first point."""
    yield "\n## Growth\n\n![Input](plots/input.svg)\n![State](plots/state.svg)\n![Keys](plots/keys.svg)\n\n"
    rows = []
    for point in facts["scale"]:
        line = [p for p in facts["scale"] if p["what"] == point["what"]]
        alike = line if point["what"] == "skew" else [p for p in line if p["name"] == point["name"]]
        first = alike[0]
        more = "" if point["what"] == "skew" else f"{point['x'] / first['x']:.1f}x"
        peak = f"{point['peak_mb']:,.0f}" if "peak_mb" in point else ""
        cost = f"{point['cost']:.2f} {UNITS[point['what']]}"
        rows.append(
            (point["what"], point["name"], f"{point['x']:,}", cost, more, f"{point['cost'] / first['cost']:.2f}x", peak)
        )
    yield table(("what grows", "of", "size", "cost", "size by first", "cost by first", "peak MB"), rows)


def setting(facts: dict[str, Any]) -> str:
    """Date, machine and versions."""
    own = ("polars", "apache-beam", "deltalake")
    found = {**{name: importlib.metadata.version(name) for name in own}, **facts["versions"]}
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    rounds = f"{facts['rounds']} round(s)" if "rounds" in facts else "no race"
    load = facts.get("load", 0.0)
    busy = f", with a load of {load:.1f} by other work at the beginning: wall times say little" if load > 1 else ""
    note = f" {facts['note']}" if facts.get("note") else ""
    return f"\nMeasured on {facts['date']}: {facts['machine']}; {rounds}{busy}.{note} Versions: {told}.\n"


def render(facts: dict[str, Any]) -> str:
    """The page, of the parts that there are."""
    parts = [HEAD, setting(facts)]
    parts += rates(facts) if facts.get("rates") else ()
    parts += agreement(facts) if facts.get("agreement") else ()
    parts += latency(facts) if facts.get("latency") else ()
    parts += growth(facts) if facts.get("scale") else ()
    return "".join([*parts, "\n", WORDS.read_text()])
