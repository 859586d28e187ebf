"""`RiverLogistic`: river's logistic regression, by batch.

River's own objects are kept in no checkpoint: their numbers are written as arrays, and put into new objects.
"""

from copy import deepcopy
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.artefact import dump_artefact, load_artefact
from ecompulse.kernels.fraud.entity_timeline import Floats
from ecompulse.kernels.fraud.models.interface import Labels, Matrix

_BOUND: Final = 1e-12


class RiverLogistic:
    """Supervised and online: river's `StandardScaler` and `LogisticRegression` (SGD), by batch.

    Features enter as asinh, 0 where unknown. River must be installed (extra `river`).
    """

    kind: str = "river_logistic"
    RATE: float = 0.1

    def __init__(self, width: int, scaler: Any = None, model: Any = None) -> None:
        """`width`: number of features; `scaler` and `model`: river's."""
        from river import linear_model, optim, preprocessing  # noqa: PLC0415  # an extra

        self.width = width
        self.scaler = scaler or preprocessing.StandardScaler()
        self.model = model or linear_model.LogisticRegression(optim.SGD(self.RATE), intercept_lr=self.RATE)

    def _inputs(self, columns: Matrix) -> pl.DataFrame:
        values = np.nan_to_num(np.arcsinh(columns.astype(np.float64)))
        return pl.DataFrame(values, schema=[str(n) for n in range(self.width)], orient="row")

    def score_many(self, columns: Matrix) -> Floats:
        """Log-odds."""
        if not self.scaler.counts:
            return np.zeros(columns.shape[0])
        told: Any = self.model.predict_proba_many(self.scaler.transform_many(self._inputs(columns)))
        share = np.clip(told["True"].to_numpy(), _BOUND, 1 - _BOUND)
        found: Floats = np.log(share / (1 - share))
        return found

    def learn_many(self, columns: Matrix, labels: Labels | None, weights: Floats | None = None) -> "RiverLogistic":
        """A copy that has taken one step."""
        if labels is None:
            raise ValueError(f"{self.kind}: labels are required")
        after = RiverLogistic(self.width, deepcopy(self.scaler), deepcopy(self.model))
        rows = self._inputs(columns)
        after.scaler.learn_many(rows)
        share = np.ones(labels.size) if weights is None else weights / weights.mean()
        after.model.learn_many(after.scaler.transform_many(rows), pl.Series("label", labels > 0), pl.Series(share))
        return after

    def dump(self) -> bytes:
        """Weights and moments."""
        names = [str(n) for n in range(self.width)]
        weights, scaler = self.model.weights, self.scaler
        arrays = {"weights": [weights.get(name, 0.0) for name in names]}
        arrays |= {
            part: [getattr(scaler, part).get(name, 0.0) for name in names] for part in ("counts", "means", "vars")
        }
        facts = {"width": self.width, "intercept": float(self.model.intercept)}
        facts["steps"] = int(self.model.optimizer.n_iterations)
        return dump_artefact(self.kind, facts, {name: np.array(part, np.float64) for name, part in arrays.items()})

    @classmethod
    def load(cls, blob: bytes) -> "RiverLogistic":
        """The inverse of `dump`."""
        from river import optim, preprocessing  # noqa: PLC0415

        facts, arrays = load_artefact(cls.kind, blob)
        names = [str(n) for n in range(facts["width"])]
        found = cls(facts["width"])
        if facts["steps"]:
            counts, means, spreads = (
                dict(zip(names, arrays[part].tolist(), strict=True)) for part in ("counts", "means", "vars")
            )
            found.scaler = preprocessing.StandardScaler._from_state(counts, means, spreads)  # noqa: SLF001
            found.model._weights.update(dict(zip(names, arrays["weights"].tolist(), strict=True)))  # noqa: SLF001
        found.model.intercept = facts["intercept"]
        found.model.optimizer = optim.SGD(cls.RATE)
        found.model.optimizer.n_iterations = facts["steps"]
        return found
