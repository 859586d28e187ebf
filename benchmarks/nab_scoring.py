"""NAB's score: detections near labelled windows, weighted by how early they come. Pure functions on arrays.

Source: Lavin and Ahmad, Evaluating Real-time Anomaly Detection Algorithms, the Numenta Anomaly Benchmark, 2015
(arXiv:1510.03336), section II, and for what the paper leaves open the behaviour of its published implementation, which
made the scoreboard:

- sigma is 2 / (1 + e^(5 y)) - 1 and is then weighted: by A_TP inside a window (divided by sigma(-1), so that the
  earliest detection counts 1), by -A_FP behind one. The paper's formula with (A_TP - A_FP) is this for weights of 1
  and -1.
- y runs from -1 at a window's first row to -1 / width at its last. Behind it, y is the distance in rows from its
  last row by (width - 1), until the next window begins. From y = 3 on, and ahead of a file's first window, sigma
  is -1.
- Only the best (so the earliest) detection of a window counts; a window without one costs A_FN.
- The first 15 % of a file, at most 750 rows, are for learning: nothing there is counted.
- One threshold for the corpus, the best one for the profile. A detection is a score at or above it.
- 0 is a detector that says nothing, 100 one that finds each window in its first row and no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROBATION: Final = 0.15
_LONGEST_PROBATION: Final = 5_000  # rows of which at most the probation is a share
_STEEPNESS: Final = 5.0
_FAR: Final = 3.0


@dataclass(frozen=True)
class Profile:
    """Weights of an application: of a detection in time, a false one, a missed window (costs are negative)."""

    name: str
    tp: float
    fp: float
    fn: float


STANDARD: Final = Profile("standard", 1.0, -0.11, -1.0)
LOW_FP: Final = Profile("low FP", 1.0, -0.22, -1.0)
LOW_FN: Final = Profile("low FN", 1.0, -0.11, -2.0)
PROFILES: Final = (STANDARD, LOW_FP, LOW_FN)


@dataclass(frozen=True)
class File:
    """One series as it was scored.

    Attributes:
        scores: of each row, from 0 to 1 or on any other scale that all files share.
        windows: first and last row (inclusive) of each labelled window, in order, without overlap.
    """

    scores: Floats
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Result:
    """What a corpus scored.

    Attributes:
        score: 0 for silence, 100 for perfection.
        threshold: the best one; infinite if silence is best.
        found: windows with a detection.
        windows: that count.
        false: rows detected outside windows.
    """

    score: float
    threshold: float
    found: int
    windows: int
    false: int

    @property
    def recall(self) -> float:
        """Share of the windows that were found."""
        return self.found / self.windows if self.windows else 0.0

    @property
    def precision(self) -> float:
        """Share of the detections, a window's counted as one, that were right; 1 without any."""
        return self.found / (self.found + self.false) if self.found + self.false else 1.0


def sigma(position: Floats) -> Floats:
    """The sigmoid of a detection's relative position: nearly 1 at -1, 0 at a window's end, -1 from 3 on."""
    return np.where(position >= _FAR, -1.0, 2.0 / (1.0 + np.exp(_STEEPNESS * np.minimum(position, _FAR))) - 1.0)


def probation(rows: int) -> int:
    """Rows at a file's beginning that are not counted."""
    return int(PROBATION * min(rows, _LONGEST_PROBATION))


def positions(rows: int, windows: Sequence[tuple[int, int]]) -> tuple[Floats, Ints]:
    """Relative position of each row, and the number of its window (-1 outside)."""
    place, member = np.full(rows, _FAR), np.full(rows, -1, dtype=np.int64)
    ends = [*(first for first, _ in windows[1:]), rows]
    for number, ((first, last), end) in enumerate(zip(windows, ends, strict=False)):
        width = last - first + 1
        inside = np.arange(first, last + 1)
        place[inside], member[inside] = -(last - inside + 1) / width, number
        place[last + 1 : end] = np.arange(1, end - last) / max(width - 1, 1)
    return place, member


def score_corpus(files: Sequence[File], profile: Profile, threshold: float | None = None) -> Result:
    """The score of all files together, at the threshold given or at the best one."""
    scores, gains, members, count = _rows(files, profile)
    order = np.argsort(-scores, kind="stable")
    scores, gains, members = scores[order], gains[order], members[order]
    total = np.cumsum(_increments(gains, members, profile)) + profile.fn * count
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # rows of equal score stand or fall together
    levels, totals = np.r_[np.inf, scores[last]], np.r_[profile.fn * count, total[last]]
    at = int(np.argmax(totals)) if threshold is None else int(np.flatnonzero(levels >= threshold)[-1])
    detected = members[scores >= levels[at]]
    found = len(np.unique(detected[detected >= 0]))
    normal = 100 * (totals[at] - profile.fn * count) / (profile.tp * count - profile.fn * count) if count else 0.0
    return Result(float(normal), float(levels[at]), found, count, int((detected < 0).sum()))


def _rows(files: Sequence[File], profile: Profile) -> tuple[Floats, Floats, Ints, int]:
    """Scores, gains and window numbers of all rows that count, and how many windows do."""
    scores, gains, members, count = [np.empty(0)], [np.empty(0)], [np.empty(0, dtype=np.int64)], 0
    full = float(sigma(np.array([-1.0]))[0])
    for file in files:
        place, member = positions(len(file.scores), file.windows)
        learnt = probation(len(file.scores))
        shape = sigma(place)
        gains.append(np.where(member >= 0, profile.tp * shape / full, -profile.fp * shape)[learnt:])
        scores.append(file.scores[learnt:])
        counted = np.unique(member[learnt:][member[learnt:] >= 0])
        renumbered = np.where(member >= 0, np.searchsorted(counted, member) + count, -1)
        members.append(renumbered[learnt:])
        count += len(counted)
    return np.concatenate(scores), np.concatenate(gains), np.concatenate(members), count


def _increments(gains: Floats, members: Ints, profile: Profile) -> Floats:
    """What each row adds to the total, when rows are taken in turn."""
    added = np.where(members < 0, gains, 0.0)
    inside = np.flatnonzero(members >= 0)
    inside = inside[np.argsort(members[inside], kind="stable")]
    for rows in np.split(inside, np.flatnonzero(np.diff(members[inside])) + 1):
        best = np.maximum.accumulate(np.maximum(gains[rows], profile.fn))
        added[rows] = np.diff(best, prepend=profile.fn)
    return added
