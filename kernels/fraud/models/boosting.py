"""`BoostedTrees`: gradient boosted trees, fitted anew to a reservoir."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ecompulse.kernels.fraud.artefact import ArtefactError, dump_artefact, load_artefact
from ecompulse.kernels.fraud.entity_timeline import Floats
from ecompulse.kernels.fraud.models.interface import Labels, Matrix


@dataclass(frozen=True)
class Boosting:
    """How trees are grown.

    Attributes:
        rounds: trees.
        depth: of each at the most.
        rate: share of a tree that is taken.
        least: weight of the lines in a leaf at the least.
        gain: of a split at the least; a higher one keeps noise out.
        rows, columns: share of the lines of a tree, and of the features of a split, drawn with a fixed seed.
    """

    rounds: int = 60
    depth: int = 6
    rate: float = 0.15
    least: float = 5.0
    gain: float = 6.0
    rows: float = 0.7
    columns: float = 0.5

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.depth < 1:
            raise ValueError("rounds and depth must be 1 or more")
        if not all(0 < share <= 1 for share in (self.rate, self.rows, self.columns)):
            raise ValueError("rate, rows and columns must be above 0 and at most 1")
        if self.least < 0 or self.gain < 0:
            raise ValueError("least and gain must not be negative")

    def settings(self) -> dict[str, Any]:
        """As xgboost names them; one thread and a fixed seed, so that the same lines give the same trees."""
        return {
            "objective": "binary:logistic", "tree_method": "hist", "max_bin": 64, "nthread": 1, "seed": 1,
            "max_depth": self.depth, "eta": self.rate, "min_child_weight": self.least, "gamma": self.gain,
            "subsample": self.rows, "colsample_bynode": self.columns,
        }  # fmt: skip


class BoostedTrees:
    """Supervised: gradient boosted trees, fitted anew to what they are given (xgboost)."""

    kind: str = "boosting"

    def __init__(self, how: Boosting | None = None, raw: bytes = b"") -> None:
        """`raw`: the booster in xgboost's own format; none before the first fit."""
        self.how = how or Boosting()
        self.raw = raw
        self._booster: Any = None

    def score_many(self, columns: Matrix) -> Floats:
        """Log-odds."""
        import xgboost  # noqa: PLC0415  # half a second, which only a fitted model pays

        if self._booster is None:
            self._booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(self.raw))
        found: Floats = self._booster.inplace_predict(columns, predict_type="margin").astype(np.float64)
        return found

    def learn_many(self, columns: Matrix, labels: Labels | None, weights: Floats | None = None) -> "BoostedTrees":
        """A model of these lines only."""
        import xgboost  # noqa: PLC0415

        data = xgboost.DMatrix(columns, labels, weight=weights, nthread=1)
        grown = xgboost.train(self.how.settings(), data, self.how.rounds)
        return BoostedTrees(self.how, bytes(grown.save_raw("ubj")))

    def dump(self) -> bytes:
        """Xgboost's own format (UBJSON), with a checksum."""
        return dump_artefact(self.kind, {}, {"raw": np.frombuffer(self.raw, np.uint8)})

    @classmethod
    def load(cls, blob: bytes) -> "BoostedTrees":
        """The inverse of `dump`; it scores, and what it is told to learn it learns by the standard settings."""
        _, arrays = load_artefact(cls.kind, blob)
        if not arrays["raw"].size:
            raise ArtefactError("the model is empty")
        return cls(raw=arrays["raw"].tobytes())
