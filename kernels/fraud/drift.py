"""Drift: whether the mean of a series is no longer what it was."""

from typing import Final

import numpy as np

from ecompulse.kernels.fraud.entity_timeline import Floats

_LENGTH: Final = 512
_LEAST: Final = 24  # values on either side of a cut
_CONFIDENCE: Final = 0.002


class Drift:
    """ADWIN's test (Bifet and Gavalda, 2007) over the last 512 values: all cuts at once, the old side is dropped."""

    def __init__(self, values: Floats | None = None, found: int = 0) -> None:
        """`values`: the window; `found`: how often it was cut."""
        self.values = np.empty(0) if values is None else values
        self.found = found

    def plus(self, value: float) -> "Drift":
        """With one more value, cut where the means on both sides differ by more than chance."""
        values = np.append(self.values, value)[-_LENGTH:]
        size = values.size
        if size < 2 * _LEAST:
            return Drift(values, self.found)
        total = np.cumsum(values)
        left = np.arange(_LEAST, size - _LEAST + 1)
        right = size - left
        gap = np.abs(total[left - 1] / left - (total[-1] - total[left - 1]) / right)
        harmonic = 1 / (1 / left + 1 / right)
        doubt = np.log(2 * np.log(size) / _CONFIDENCE)
        bound = np.sqrt(2 / harmonic * values.var() * doubt) + 2 / (3 * harmonic) * doubt * np.ptp(values)
        worst = int(np.argmax(gap - bound))
        if gap[worst] <= bound[worst]:
            return Drift(values, self.found)
        return Drift(values[left[worst] :], self.found + 1)
