"""Rows of features in the order of time, scored a run at a time: what all runs share is computed for many at once."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ecompulse.kernels.fraud.entity_timeline import Floats, Ints
from ecompulse.kernels.fraud.models.boosting import BoostedTrees
from ecompulse.kernels.fraud.models.ecod import Bins, binned
from ecompulse.kernels.fraud.models.interface import Matrix

_AHEAD: Final = 16_384  # lines; trees change rarely, and a call of xgboost costs as much as a thousand lines


class FeatureRows:
    """Features of lines, and what was computed of them ahead."""

    def __init__(self, columns: Matrix, chosen: Ints) -> None:
        """`chosen`: features that tails look at."""
        self.columns = columns
        self._chosen = chosen
        self._margins: dict[int, tuple[BoostedTrees, int, Floats]] = {}

    @cached_property
    def bins(self) -> Bins:
        """Of all lines."""
        return binned(self.columns, self._chosen)

    def margins(self, trees: BoostedTrees, low: int, high: int) -> Floats:
        """Log-odds of the lines; it is the trees themselves that are remembered, so that no number is used again."""
        known = self._margins.get(id(trees))
        if known is None or not known[1] <= low <= high <= known[1] + known[2].size:
            stop = max(high, low + _AHEAD)
            known = self._margins[id(trees)] = (trees, low, trees.score_many(self.columns[low:stop]))
        _, start, scores = known
        return scores[low - start : high - start]


@dataclass(frozen=True)
class ScoringRun:
    """Some of the lines, from `low` to before `high`."""

    lines: FeatureRows
    low: int
    high: int
    labels: Floats | None = field(default=None, compare=False)

    @property
    def columns(self) -> Matrix:
        """Features."""
        return self.lines.columns[self.low : self.high]

    @property
    def bins(self) -> Bins:
        """Bins of what tails look at."""
        return self.lines.bins[self.low : self.high]

    def margins(self, trees: BoostedTrees) -> Floats:
        """Log-odds by trees."""
        return self.lines.margins(trees, self.low, self.high)
