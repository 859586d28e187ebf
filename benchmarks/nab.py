"""The KPI detector on NAB's real series: one setting for all, beside published numbers.

The series (CSV of timestamp and value, and `windows.json`) are not part of the project: `ECOMPULSE_DATA` or
`../shared/data` beside the checkout holds them in `nab/`.
"""

import csv
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.measure import table
from benchmarks.nab_scoring import PROFILES, STANDARD, File, Result, score_corpus
from ecompulse.kernels.anomalies.detector import Usual, observe
from ecompulse.kernels.anomalies.incidents import advance
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.memory import fresh

PUBLISHED: Final = {
    "ARTime": 74.9, "HTM": 70.5, "CAD OSE": 69.9, "KNN-CAD": 58.0, "random cut forest": 51.7, "windowed Gaussian": 39.6,
}  # fmt: skip
"""NAB's own scoreboard, standard profile, on all of its 58 files (synthetic ones too)."""


@dataclass(frozen=True)
class Labelled:
    """A series: times (UTC ms), values, and the first and last row of each labelled window."""

    name: str
    times: np.ndarray
    values: np.ndarray
    windows: list[tuple[int, int]]


def folder() -> Path:
    """Where NAB's series are; FileNotFoundError if they are not."""
    given = os.environ.get("ECOMPULSE_DATA")
    found = (Path(given) if given else Path(__file__).parents[2] / "shared" / "data") / "nab"
    if not (found / "windows.json").exists():
        raise FileNotFoundError(f"{found}: no windows.json; set ECOMPULSE_DATA to the folder that holds nab/")
    return found


def load(root: Path) -> list[Labelled]:
    """All series that have labels, the longest first."""
    labels = json.loads((root / "windows.json").read_text())
    return sorted((_series(root, name, labels[name]) for name in labels), key=lambda one: -len(one.values))


def _series(root: Path, name: str, labels: list[list[str]]) -> Labelled:
    with (root / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    times = [_ms(row["timestamp"]) for row in rows]
    first = {at: row for row, at in reversed(list(enumerate(times)))}
    windows = [(first[_ms(start)], first[_ms(end)]) for start, end in labels]
    return Labelled(name, np.array(times), np.array([float(row["value"]) for row in rows]), windows)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def score_series(corpus: list[Labelled]) -> list[np.ndarray]:
    """Score of each point; 0 where a burst that was told goes on. All series at once, point after point."""
    memory, lengths = fresh(len(corpus)), np.array([len(one.values) for one in corpus])
    times, values = np.zeros((2, lengths[0], len(corpus)))
    for column, one in enumerate(corpus):
        times[: lengths[column], column], values[: lengths[column], column] = one.times, one.values
    scores = np.zeros_like(values)
    for row in range(lengths[0]):
        open_ = int((lengths > row).sum())
        going = memory[:open_]
        judged = observe(going, times[row, :open_].astype(np.int64), values[row, :open_], Usual.of(going))
        scores[row, :open_] = np.where(judged.news, judged.score, 0.0)
    return [scores[:length, column] for column, length in enumerate(lengths)]


def run() -> None:
    """Print the table."""
    try:
        corpus = load(folder())
    except FileNotFoundError as error:
        print(f"nab: {error}")
        return
    begun = time.process_time()
    scores = score_series(corpus)
    cost = (time.process_time() - begun) / sum(len(one.values) for one in corpus)
    files = [File(score, one.windows) for score, one in zip(scores, corpus, strict=True)]
    rows: list[tuple[object, ...]] = []
    for profile in PROFILES:
        best = score_corpus(files, profile)
        rows.append((profile.name, f"{best.score:.1f}", f"{best.threshold:.2f}", *_shares(best)))
    own = DetectAnomalies().threshold
    fixed = score_corpus(files, STANDARD, own)
    rows.append(("standard, at the kernel's own threshold", f"{fixed.score:.1f}", own, *_shares(fixed)))
    rows += [(f"{name} (published)", score, "", "", "", "") for name, score in PUBLISHED.items()]
    table(("profile", "score", "threshold", "precision", "recall", "windows, false"), rows)
    print(f"\n{len(corpus)} series at once, {cost * 1e6:.0f} us of CPU per point")
    whole = ", ".join(f"{1e6 * cost_of(count):.0f} us for {count:,}" for count in (1, 100, 2_000))
    print(f"with incidents, series side by side: {whole}")


def cost_of(series: int) -> float:
    """CPU seconds per point of the kernel's whole judgement, of noise after a thousand points or fewer."""
    memory, rows = fresh(series), max(100, 1_000 // series)
    values = np.random.default_rng(1).normal(100, 5, (2 * rows, series))
    policy = DetectAnomalies().policy
    for row in range(2 * rows):
        if row == rows:
            begun = time.process_time()
        advance(memory, np.full(series, row * 300_000), values[row], policy)
    return (time.process_time() - begun) / (rows * series)


def _shares(result: Result) -> tuple[str, str, str]:
    return (f"{result.precision:.2f}", f"{result.recall:.2f}", f"{result.found} of {result.windows}, {result.false}")
