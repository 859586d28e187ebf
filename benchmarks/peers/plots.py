"""The plots of RESULTS.md, from what was measured: FACTS FOLDER. Runs where matplotlib is: with the peers."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "ecompulse", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
NO_DATE = {"Date": None}


def rates(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Marginal rates by job, CPU and wall, a bar per engine."""
    jobs = list(dict.fromkeys(row["job"] for row in rows))
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    width = 0.8 / len(engines)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    for axis, (name, title) in zip(
        axes, (("cpu", "events per CPU second"), ("wall", "events per second")), strict=True
    ):
        for place, engine in enumerate(engines):
            found = {row["job"]: row[name] or 0 for row in rows if row["engine"] == engine}
            at = [index + (place - (len(engines) - 1) / 2) * width for index in range(len(jobs))]
            axis.bar(at, [found.get(job, 0) for job in jobs], width * 0.9, label=engine)
        axis.set_xticks(range(len(jobs)), [job.replace("_", "\n") for job in jobs])
        axis.set_title(title)
    axes[0].legend(frameon=False)
    _save(figure, folder / "rates.svg")


def growth(points: Sequence[dict[str, Any]], what: str, labels: tuple[str, str], path: Path) -> None:
    """Cost by size on logarithmic axes, with the slope of proportion through each line's first point."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    chosen = [point for point in points if point["what"] == what]
    for name in dict.fromkeys(point["name"] for point in chosen):
        xs, ys = zip(*((p["x"], p["cost"]) for p in chosen if p["name"] == name), strict=True)
        (line,) = axis.loglog(xs, ys, "o-", label=name)
        axis.loglog(xs, [ys[0] * x / xs[0] for x in xs], ":", color=line.get_color(), linewidth=0.8)
    axis.set_xlabel(labels[0])
    axis.set_ylabel(labels[1])
    axis.legend(frameon=False, title="dotted: in proportion")
    _save(figure, path)


def latency(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """p50 and p99 by rate and engine."""
    figure, axis = plt.subplots(figsize=(6, 3))
    names = [f"{row['engine']}\n{row['rate']:,}/s" for row in rows]
    for place, quantile in enumerate(("p50", "p99")):
        axis.bar([i + place * 0.35 for i in range(len(rows))], [row[quantile] for row in rows], 0.33, label=quantile)
    axis.set_xticks([i + 0.17 for i in range(len(rows))], names)
    axis.set_ylabel("seconds until visible")
    axis.legend(frameon=False)
    _save(figure, folder / "latency.svg")


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata=NO_DATE)
    plt.close(figure)


def main(facts: str, folder: str) -> None:
    """Draw what there are figures for."""
    found, to = json.loads(Path(facts).read_text()), Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    if found.get("rates"):
        rates(found["rates"], to)
    if found.get("latency"):
        latency(found["latency"], to)
    for what, labels in (
        ("input", ("lines", "CPU seconds of the whole job")),
        ("state", ("open keys", "CPU ms of an epoch of 10,000 rows")),
        ("keys", ("visitors", "CPU us an event")),
    ):
        if any(point["what"] == what for point in found.get("scale", [])):
            growth(found["scale"], what, labels, to / f"{what}.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
