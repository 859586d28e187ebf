"""`EcodScores`: how far out in the upper tail a transaction lies, feature by feature."""

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecompulse.kernels.fraud.artefact import dump_artefact, load_artefact
from ecompulse.kernels.fraud.entity_timeline import Floats, Ints
from ecompulse.kernels.fraud.models.interface import Labels, Matrix, TrainingBatch
from ecompulse.kernels.rows import DAY_MS

Bins = NDArray[np.int16]
"""One line per transaction, the bin of each chosen feature; UNKNOWN where it has no value."""

UNKNOWN: Final = -1
_SCALE: Final = 16.0
_BELOW, _OVER = 64, 320
BINS: Final = _BELOW + 1 + _OVER
"""Bins of a feature: even steps of asinh(16 x), 6% wide from 0.1 upward, from -1.7 to beyond 10 million."""

_AT_ONCE: Final = 1_024  # lines: what is computed of them stays in the processor's cache

_COMMON: Final = 20.0  # one in so many
_BRIEF: Final = DAY_MS  # half-life of what is usual of late


def binned(columns: Matrix, chosen: Ints) -> Bins:
    """Bins of the chosen features."""
    bins = np.empty((columns.shape[0], chosen.size), np.int16)
    for start in range(0, columns.shape[0], _AT_ONCE):
        values = columns[start : start + _AT_ONCE, chosen].astype(np.float64)
        np.arcsinh(np.multiply(values, _SCALE, out=values), out=values)
        np.rint(np.multiply(values, _SCALE, out=values), out=values)
        np.clip(np.add(values, _BELOW, out=values), 0, _BELOW + _OVER, out=values)
        bins[start : start + _AT_ONCE] = np.nan_to_num(values, copy=False, nan=UNKNOWN)
    return bins


def norm(surprises: Floats) -> Floats:
    """Score of each line, 0 and more."""
    found: Floats = np.cbrt((surprises * surprises * surprises).sum(axis=1))
    return found


class EcodScores:
    """Unsupervised: how far out in the upper tail a transaction lies, feature by feature.

    Per feature a histogram in fixed bins; surprise = -ln(share of transactions at or above the value); the score is the
    cubic norm of the surprises, so that a few great ones count more than many small. What is common of late is no
    surprise, however rare it was before (a merchant that most transactions share tells nothing of one of them):
    where more than 5 % of late were at or above the value, that share counts. Counts are whole numbers until they
    are aged, so that the order of learning makes no difference.

    After ECOD (Li et al., 2022), with histograms that age in place of a sorted sample.
    """

    kind: str = "tails"

    def __init__(self, chosen: Ints, half_life: int, above: Floats | None = None, late: Floats | None = None) -> None:
        """New, or as it was.

        Args:
            chosen: numbers of the features that are looked at.
            half_life: of `above`, ms.
            above: by feature and bin, how many lines were in it or a higher one; one bin more, of the unknown: all.
            late: the same, with a half-life of a day.
        """
        self.chosen = chosen
        self.half_life = half_life
        self.above = np.zeros((chosen.size, BINS + 1)) if above is None else above
        self.late = self.above if late is None else late

    def surprises(self, bins: Bins) -> Floats:
        """Surprise of each line by each chosen feature; 0 where unknown."""
        column = np.arange(self.chosen.size)
        ever, late = ((above[:, :1].T + 1) / (above[column, bins] + 1) for above in (self.above, self.late))
        found: Floats = np.log(np.where(late < _COMMON, np.minimum(ever, late), ever))
        return found

    @cached_property
    def usual(self) -> Floats:
        """Median of each chosen feature, NaN before anything was learnt."""
        total = self.above[:, 0]
        middle = np.count_nonzero(self.above[:, 1:BINS] > total[:, None] / 2, axis=1)
        return np.where(total > 0, np.sinh((middle - _BELOW) / _SCALE) / _SCALE, np.nan)

    def score_many(self, columns: Matrix) -> Floats:
        """0 and more."""
        return norm(self.surprises(binned(columns, self.chosen)))

    def note(self, bins: Bins) -> TrainingBatch:
        """How many lines are in each bin or a higher one."""
        flat = (bins + np.arange(self.chosen.size) * BINS)[bins != UNKNOWN]
        counts = np.bincount(flat, minlength=self.chosen.size * BINS).reshape(-1, BINS)
        above = np.empty((self.chosen.size, BINS + 1), np.int64)
        np.cumsum(counts[:, ::-1], axis=1, out=above[:, BINS - 1 :: -1])
        above[:, UNKNOWN] = above[:, 0]
        return {"above": above}

    def training_batch(self, columns: Matrix) -> TrainingBatch:
        """How many lines are in each bin or a higher one."""
        return self.note(binned(columns, self.chosen))

    @staticmethod
    def joined(first: TrainingBatch, then: TrainingBatch) -> TrainingBatch:
        """Both."""
        return {"above": first["above"] + then["above"]}

    def fitted_to(self, training_batch: TrainingBatch) -> "EcodScores":
        """The same with these counts too."""
        above = training_batch["above"]
        return EcodScores(self.chosen, self.half_life, self.above + above, self.late + above)

    def aged(self, passed: int) -> "EcodScores":
        """The same with what was counted weighing less."""
        long, brief = (0.5 ** (passed / half) for half in (self.half_life, _BRIEF))
        return EcodScores(self.chosen, self.half_life, self.above * long, self.late * brief)

    def learn_many(self, columns: Matrix, labels: Labels | None = None, weights: Floats | None = None) -> "EcodScores":
        """Count the lines."""
        del labels, weights
        return self.fitted_to(self.training_batch(columns))

    def dump(self) -> bytes:
        """Counts."""
        arrays = {"chosen": self.chosen, "above": self.above, "late": self.late}
        return dump_artefact(self.kind, {"half_life": self.half_life}, arrays)

    @classmethod
    def load(cls, blob: bytes) -> "EcodScores":
        """The inverse of `dump`."""
        facts, arrays = load_artefact(cls.kind, blob)
        return cls(arrays["chosen"], int(facts["half_life"]), arrays["above"], arrays["late"])
