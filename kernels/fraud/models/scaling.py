"""Ranges that features had: what brings them to 0 to 1, whatever their unit."""

from dataclasses import dataclass

import numpy as np

from ecompulse.kernels.fraud.entity_timeline import Floats
from ecompulse.kernels.fraud.models.interface import Matrix


@dataclass(frozen=True)
class Ranges:
    """Least and greatest asinh of each feature; +inf and -inf before one was seen. Order makes no difference."""

    low: Floats
    high: Floats

    @staticmethod
    def none(width: int) -> "Ranges":
        """Of features that were not seen."""
        return Ranges(np.full(width, np.inf), np.full(width, -np.inf))

    @staticmethod
    def of(columns: Matrix) -> "Ranges":
        """Of these lines."""
        values = np.arcsinh(columns.astype(np.float64))
        unknown = np.isnan(values)
        low = np.where(unknown, np.inf, values).min(axis=0, initial=np.inf)
        return Ranges(low, np.where(unknown, -np.inf, values).max(axis=0, initial=-np.inf))

    def wider(self, other: "Ranges") -> "Ranges":
        """Of both."""
        return Ranges(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def scaled(self, columns: Matrix) -> Floats:
        """0 to 1; what is beyond the range is at its edge, what is unknown or never varied in the middle."""
        values = np.arcsinh(columns.astype(np.float64))
        span = self.high - self.low
        varied = np.isfinite(span) & (span > 0)
        place = (values - np.where(varied, self.low, 0.0)) / np.where(varied, span, 1.0)
        return np.where(varied & ~np.isnan(values), np.clip(place, 0.0, 1.0), 0.5)

    def arrays(self) -> dict[str, np.ndarray]:
        """By name."""
        return {"low": self.low, "high": self.high}
