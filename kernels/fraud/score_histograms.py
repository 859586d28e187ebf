"""How scores turned out: histograms of log-odds by label, calibration and quality from them."""

from functools import cached_property
from typing import Final

import numpy as np

from ecompulse.kernels.fraud.entity_timeline import Floats

_STEP: Final = 0.1
_HALF: Final = 150
SIZE: Final = 2 * _HALF + 1
CENTRES: Final = (np.arange(SIZE) - _HALF) * _STEP
"""Middle of each bin, in log-odds: -15 to 15."""

_ENOUGH: Final = 5.0  # frauds below which a calibration would be noise
_ROUNDS: Final = 25
_PULL: Final = 1e-3  # towards slope 1
_CLOSE: Final = 1e-9


class ScoreHistogram:
    """Scores of labelled transactions, given before they were learnt from: frauds and legitimate ones per bin."""

    def __init__(self, counts: Floats | None = None) -> None:
        """`counts`: two lines, legitimate and frauds."""
        self.counts = np.zeros((2, SIZE)) if counts is None else counts

    def plus(self, odds: Floats, labels: Floats, weights: Floats) -> "ScoreHistogram":
        """With more of them."""
        bins = np.clip(np.rint(odds / _STEP) + _HALF, 0, SIZE - 1).astype(np.int64)
        at = bins + (labels > 0) * SIZE
        return ScoreHistogram(self.counts + np.bincount(at, weights, 2 * SIZE).reshape(2, SIZE))

    def aged(self, factor: float) -> "ScoreHistogram":
        """With all counts multiplied."""
        return ScoreHistogram(self.counts * factor)

    @property
    def frauds(self) -> float:
        """How many frauds."""
        return float(self.counts[1].sum())

    def average_precision(self) -> float | None:
        """Mean precision over the frauds, by falling score; None without any."""
        legitimate, frauds = self.counts[:, ::-1]
        if not frauds.sum():
            return None
        found, all_ = np.cumsum(frauds), np.cumsum(frauds + legitimate)
        return float((frauds * found / np.maximum(all_, 1e-9)).sum() / found[-1])

    def above(self, odds: float) -> tuple[float, float]:
        """Legitimate and fraudulent ones that scored at least `odds`."""
        legitimate, frauds = self.counts[:, odds - _STEP / 2 <= CENTRES].sum(axis=1)
        return float(legitimate), float(frauds)

    @cached_property
    def calibration(self) -> tuple[float, float] | None:
        """Slope and intercept that make log-odds true (Platt, 1999), by Newton's method; None without evidence."""
        total, frauds = self.counts.sum(axis=0), self.counts[1]
        if min(frauds.sum(), self.counts[0].sum()) < _ENOUGH:
            return None
        some = total > 0
        total, frauds, odds = total[some], frauds[some], CENTRES[some]
        slope, shift = 1.0, 0.0
        for _ in range(_ROUNDS):
            share = 1 / (1 + np.exp(-np.clip(slope * odds + shift, -30, 30)))
            miss, curve = frauds - total * share, total * share * (1 - share)
            up, down = float(odds @ miss) - _PULL * (slope - 1.0), float(miss.sum()) - _PULL * shift
            aa, ab, bb = float(curve @ odds**2) + _PULL, float(curve @ odds), float(curve.sum()) + _PULL
            steps = np.array([bb * up - ab * down, aa * down - ab * up]) / (aa * bb - ab * ab)
            if not np.isfinite(steps).all():
                return None
            steps = np.clip(steps, -1.0, 1.0)
            slope, shift = slope + float(steps[0]), shift + float(steps[1])
            if np.abs(steps).max() < _CLOSE:
                break
        return max(slope, 0.05), shift
