"""`OnlineLogistic`: logistic regression, a step at a time."""

from typing import Final

import numpy as np

from ecompulse.kernels.fraud.artefact import dump_artefact, load_artefact
from ecompulse.kernels.fraud.entity_timeline import Floats
from ecompulse.kernels.fraud.models.interface import Labels, Matrix

_CLIP: Final = 6.0


class OnlineLogistic:
    """Supervised and online: logistic regression by AdaGrad, one step per batch of labelled lines.

    Features enter as asinh(x), standardised by what was learnt so far, and as whether they are known; labels are
    balanced within the batch by `weights`. What the model is depends on the batches, so callers cut them by event time.
    """

    kind: str = "logistic"
    RATE: Final = 0.2

    def __init__(self, width: int, arrays: dict[str, np.ndarray] | None = None) -> None:
        """`width`: number of features."""
        size = 2 * width + 1
        zeros = {"weight": size, "square": size, "sums": width, "squares": width, "seen": width}
        self.arrays = {name: np.zeros(length) for name, length in zeros.items()} if arrays is None else arrays
        self.width = width

    def _inputs(self, columns: Matrix) -> Floats:
        seen = np.maximum(self.arrays["seen"], 1.0)
        mean = self.arrays["sums"] / seen
        spread = np.sqrt(np.maximum(self.arrays["squares"] / seen - mean**2, 1e-6))
        values = np.arcsinh(columns.astype(np.float64))
        known = ~np.isnan(values)
        scaled = np.clip((np.where(known, values, mean) - mean) / spread, -_CLIP, _CLIP)
        return np.hstack([scaled, (~known).astype(float), np.ones((columns.shape[0], 1))])

    def score_many(self, columns: Matrix) -> Floats:
        """Log-odds."""
        found: Floats = self._inputs(columns) @ self.arrays["weight"]
        return found

    def learn_many(self, columns: Matrix, labels: Labels | None, weights: Floats | None = None) -> "OnlineLogistic":
        """One step."""
        if labels is None:
            raise ValueError("logistic: labels are required")
        values = np.arcsinh(columns.astype(np.float64))
        known, filled = ~np.isnan(values), np.nan_to_num(values)
        state = {**self.arrays, "seen": self.arrays["seen"] + known.sum(axis=0)}
        state |= {"sums": state["sums"] + filled.sum(axis=0), "squares": state["squares"] + (filled**2).sum(axis=0)}
        model = OnlineLogistic(self.width, state)
        inputs, share = model._inputs(columns), np.ones(labels.size) if weights is None else weights
        error = (1 / (1 + np.exp(-inputs @ state["weight"])) - labels) * share
        gradient = error @ inputs / share.sum()
        state["square"] = state["square"] + gradient**2
        state["weight"] = state["weight"] - self.RATE * gradient / np.sqrt(state["square"] + 1e-8)
        return OnlineLogistic(self.width, state)

    def dump(self) -> bytes:
        """Weights and moments."""
        return dump_artefact(self.kind, {"width": self.width}, self.arrays)

    @classmethod
    def load(cls, blob: bytes) -> "OnlineLogistic":
        """The inverse of `dump`."""
        facts, arrays = load_artefact(cls.kind, blob)
        return cls(int(facts["width"]), arrays)
