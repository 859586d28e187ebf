"""Models behind one small interface: score many, learn many, dump and load."""

from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ecompulse.kernels.fraud.artefact import ArtefactError, dump_artefact, load_artefact
from ecompulse.kernels.fraud.line import Floats, Ints

Matrix = NDArray[np.float32]
"""One line per transaction, one column per feature; NaN where unknown."""

Labels = NDArray[np.float64]


class Model(Protocol):
    """What learns from columns and scores them; a score is higher for what is more suspicious."""

    def score_many(self, columns: Matrix) -> Floats:
        """One score per line."""
        ...

    def learn_many(self, columns: Matrix, labels: Labels | None, weights: Floats | None = None) -> Self:
        """The model that has learnt these lines too; `labels` None for models that need none."""
        ...

    def dump(self) -> bytes:
        """As bytes, with a checksum."""
        ...

    @classmethod
    def load(cls, blob: bytes) -> Self:
        """The inverse of `dump`; ArtefactError for anything else."""
        ...


_SCALE: Final = 16.0
_HALF: Final = 320
BINS: Final = 2 * _HALF + 1
"""Bins of a feature: even steps of asinh(16 x), 6% wide from 0.1 upward, to beyond 10 million."""

_POWER: Final = 3.0
_COMMON: Final = float(-np.log(0.05))
_OWN: Final = 0.05  # width of a bin of the model's own scores


class TailScores:
    """Unsupervised: how far out in the upper tail a transaction lies, feature by feature.

    Per feature a histogram in fixed bins; surprise = -ln(share of transactions at or above the value); the score is the
    cubic norm of the surprises, so that a few great ones count more than many small. What is common of late is no
    surprise, however rare it was before (a merchant that most transactions share tells nothing of one of them):
    where more than 5 % of late were at or above the value, that share counts. Counts are whole numbers until they
    are aged, so that the order of learning makes no difference.

    After ECOD (Li et al., 2022), with histograms that age in place of a sorted sample.
    """

    kind: Final = "tails"

    def __init__(
        self, chosen: Ints, counts: Floats | None = None, own: Floats | None = None, late: Floats | None = None
    ) -> None:
        """`chosen`: numbers of the features that are looked at; `late`: counts that age faster."""
        self.chosen = chosen
        self.counts = np.zeros((chosen.size, BINS)) if counts is None else counts
        self.late = self.counts if late is None else late
        self.own = np.zeros(BINS) if own is None else own
        surprise, of_late = _surprises(self.counts), _surprises(self.late)
        self._surprise = np.where(of_late < _COMMON, np.minimum(surprise, of_late), surprise)
        above_own = np.cumsum(self.own[::-1])[::-1]
        self._own_tail = (above_own + 1) / (above_own[0] + 1)

    def _bins(self, columns: Matrix) -> tuple[Ints, Any]:
        values = columns[:, self.chosen].astype(np.float64)
        known = ~np.isnan(values)
        steps = np.rint(np.arcsinh(np.where(known, values, 0.0) * _SCALE) * _SCALE)
        return np.clip(steps, -_HALF, _HALF).astype(np.int64) + _HALF, known

    def surprises(self, columns: Matrix) -> Floats:
        """Surprise of each line by each chosen feature; 0 where unknown."""
        bins, known = self._bins(columns)
        return np.where(known, self._surprise[np.arange(self.chosen.size), bins], 0.0)

    def usual(self) -> Floats:
        """Median of each chosen feature, NaN before anything was learnt."""
        total = self.counts.sum(axis=1)
        middle = (np.cumsum(self.counts, axis=1) < total[:, None] / 2).sum(axis=1)
        return np.where(total > 0, np.sinh((middle - _HALF) / _SCALE) / _SCALE, np.nan)

    def _norm(self, columns: Matrix) -> Floats:
        found: Floats = (self.surprises(columns) ** _POWER).sum(axis=1) ** (1 / _POWER)
        return found

    def score_many(self, columns: Matrix) -> Floats:
        """0 and more."""
        return self._norm(columns)

    def rarity(self, scores: Floats) -> Floats:
        """Share of what was learnt that scored as high or higher when it came."""
        found: Floats = self._own_tail[np.clip(scores / _OWN, 0, BINS - 1).astype(np.int64)]
        return found

    def mean(self) -> float:
        """Mean of the scores of what was learnt, when it came."""
        return float(self.own @ np.arange(BINS) * _OWN / max(self.own.sum(), 1.0))

    def aged(self, factor: float, late: float) -> "TailScores":
        """The same with all counts multiplied by `factor`, and those of late by `late`."""
        return TailScores(self.chosen, self.counts * factor, self.own * factor, self.late * late)

    def learn_many(self, columns: Matrix, labels: Labels | None = None, weights: Floats | None = None) -> "TailScores":
        """Count the lines, and how they score now."""
        del labels, weights
        return self.plus(self.tally(columns))

    def plus(self, other: "TailScores") -> "TailScores":
        """The same with the counts of another."""
        return TailScores(self.chosen, self.counts + other.counts, self.own + other.own, self.late + other.late)

    def tally(self, columns: Matrix) -> "TailScores":
        """The counts of these lines alone; their scores are those of this model."""
        bins, known = self._bins(columns)
        flat = (bins + np.arange(self.chosen.size) * BINS)[known]
        counts = np.bincount(flat, minlength=self.chosen.size * BINS).reshape(-1, BINS)
        scores = np.clip(self._norm(columns) / _OWN, 0, BINS - 1).astype(np.int64)
        own = np.bincount(scores, minlength=BINS)
        return TailScores(self.chosen, counts.astype(float), own.astype(float))

    def dump(self) -> bytes:
        """Counts."""
        return dump_artefact(self.kind, {}, self._arrays())

    @classmethod
    def load(cls, blob: bytes) -> "TailScores":
        """The inverse of `dump`."""
        _, arrays = load_artefact(cls.kind, blob)
        return cls(arrays["chosen"], arrays["counts"], arrays["own"], arrays["late"])

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"chosen": self.chosen, "counts": self.counts, "own": self.own, "late": self.late}


def _surprises(counts: Floats) -> Floats:
    """-ln of the share at or above each bin, by feature."""
    above = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    found: Floats = np.log(above[:, :1] + 1) - np.log(above + 1)
    return found


_CLIP: Final = 6.0


class OnlineLogistic:
    """Supervised and online: logistic regression by AdaGrad, one step per batch of labelled lines.

    Features enter as asinh(x), standardised by what was learnt so far, and as whether they are known; labels are
    balanced within the batch by `weights`. What the model is depends on the batches, so callers cut them by event time.
    """

    kind: Final = "logistic"
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


class BoostedTrees:
    """Supervised: gradient boosted trees, fitted anew to what they are given (xgboost, one thread, fixed seed)."""

    kind: Final = "boosting"
    ROUNDS: Final = 100
    SETTINGS: Final = {
        "objective": "binary:logistic", "tree_method": "hist", "max_depth": 4, "eta": 0.1, "min_child_weight": 5,
        "max_bin": 64, "nthread": 1, "seed": 1,
    }  # fmt: skip

    def __init__(self, raw: bytes = b"") -> None:
        """`raw`: the booster in xgboost's own format; none before the first fit."""
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
        return BoostedTrees(bytes(xgboost.train(self.SETTINGS, data, self.ROUNDS).save_raw("ubj")))

    def dump(self) -> bytes:
        """Xgboost's own format (UBJSON), with a checksum."""
        return dump_artefact(self.kind, {}, {"raw": np.frombuffer(self.raw, np.uint8)})

    @classmethod
    def load(cls, blob: bytes) -> "BoostedTrees":
        """The inverse of `dump`."""
        _, arrays = load_artefact(cls.kind, blob)
        if not arrays["raw"].size:
            raise ArtefactError("the model is empty")
        return cls(arrays["raw"].tobytes())
