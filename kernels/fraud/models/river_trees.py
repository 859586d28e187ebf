"""`RiverHalfSpaceTrees`: river's half-space trees, row by row.

River's own objects are kept in no checkpoint: their numbers are written as arrays, and put into new objects.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ecompulse.kernels.fraud.artefact import dump_artefact, load_artefact
from ecompulse.kernels.fraud.entity_timeline import Floats, Ints
from ecompulse.kernels.fraud.models.interface import Labels, Matrix, TrainingBatch
from ecompulse.kernels.fraud.models.scaling import Ranges

_MASSES: Final = ("l_mass", "r_mass")
_SPLITS: Final = ("feature", "threshold")
_TINY: Final = 1e-9


class RiverHalfSpaceTrees:
    """Unsupervised: river's `anomaly.HalfSpaceTrees`, one transaction after the other.

    Score: -ln(1 - river's score), so that scores near 1 are told apart. Features enter as 0 to 1 of the range that
    they had; one that is unknown is left out. It learns from the lines themselves. It knows windows of transactions,
    so it does not age by time. Some 100 times slower than `HalfSpaceTrees`; river must be installed (extra `river`).
    """

    kind: str = "river_half_space_trees"

    def __init__(self, chosen: Ints, ranges: Ranges, forest: "_Forest") -> None:
        """`forest`: of which this is the newest state."""
        self.chosen = chosen
        self.ranges = ranges
        self.forest = forest
        forest.now = self
        self._kept: _State | None = None

    @staticmethod
    def grown(
        chosen: Ints, trees: int = 25, height: int = 8, window: int = 250, seed: int = 1
    ) -> "RiverHalfSpaceTrees":
        """New ones, which have seen nothing."""
        from river import anomaly  # noqa: PLC0415  # an extra

        model: Any = anomaly.HalfSpaceTrees(n_trees=trees, height=height, window_size=window, seed=seed)
        model.learn_one(dict.fromkeys(range(chosen.size), 0.5))  # grows the trees, over all features
        forest = _Forest(model)
        nodes = len(forest.nodes)
        forest.restore(_State(np.zeros(nodes), np.zeros(nodes), 0, first=True))
        return RiverHalfSpaceTrees(chosen, Ranges.none(chosen.size), forest)

    def _model(self) -> Any:
        """River's own, in the state of this one."""
        if self.forest.now is not self:
            if self._kept is None:
                raise ValueError(f"{self.kind}: this state was not kept")
            self.forest.restore(self._kept)
            self.forest.now = self
        return self.forest.model

    def _rows(self, columns: Matrix) -> list[dict[int, float]]:
        mine = columns[:, self.chosen]
        known = ~np.isnan(mine)
        scaled = self.ranges.scaled(mine).tolist()
        return [
            {n: value for n, (value, there) in enumerate(zip(line, of, strict=True)) if there}
            for line, of in zip(scaled, known.tolist(), strict=True)
        ]

    def score_many(self, columns: Matrix) -> Floats:
        """0 and more; 0 before river's first window is full."""
        model = self._model()
        scores = np.array([model.score_one(row) for row in self._rows(columns)], np.float64)
        return -np.log(np.maximum(1 - scores, _TINY))

    def training_batch(self, columns: Matrix) -> TrainingBatch:
        """The lines."""
        return {"lines": columns}

    @staticmethod
    def joined(first: TrainingBatch, then: TrainingBatch) -> TrainingBatch:
        """All lines, in order."""
        return {"lines": np.concatenate([first["lines"], then["lines"]])}

    def fitted_to(self, training_batch: TrainingBatch) -> "RiverHalfSpaceTrees":
        """The one that has learnt the lines."""
        lines, model = training_batch["lines"], self._model()
        self._kept = self.forest.state()
        ranges = self.ranges.wider(Ranges.of(lines[:, self.chosen]))
        after = RiverHalfSpaceTrees(self.chosen, ranges, self.forest)
        for row in after._rows(lines):
            model.learn_one(row)
        return after

    def aged(self, passed: int) -> "RiverHalfSpaceTrees":
        """The same."""
        del passed
        return self

    def learn_many(
        self, columns: Matrix, labels: Labels | None = None, weights: Floats | None = None
    ) -> "RiverHalfSpaceTrees":
        """The one that has learnt the lines."""
        del labels, weights
        return self.fitted_to({"lines": columns})

    def dump(self) -> bytes:
        """The numbers of each node, and where river's window is."""
        model, state = self._model(), self.forest.state()
        facts = {"trees": model.n_trees, "height": model.height, "window": model.window_size}
        facts |= {"counter": state.counter, "first": state.first}
        arrays = {"chosen": self.chosen, **self.ranges.arrays(), **self.forest.splits()}
        return dump_artefact(self.kind, facts, {**arrays, "late": state.late, "reference": state.reference})

    @classmethod
    def load(cls, blob: bytes) -> "RiverHalfSpaceTrees":
        """The inverse of `dump`."""
        facts, arrays = load_artefact(cls.kind, blob)
        found = cls.grown(arrays["chosen"], facts["trees"], facts["height"], facts["window"])
        found.ranges = Ranges(arrays["low"], arrays["high"])
        found.forest.split(arrays["feature"], arrays["threshold"])
        found.forest.restore(_State(arrays["late"], arrays["reference"], facts["counter"], first=facts["first"]))
        return found


@dataclass(frozen=True)
class _State:
    """Masses of the nodes, in river's names `l_mass` and `r_mass`, and where its window is."""

    late: Floats
    reference: Floats
    counter: int
    first: bool


class _Forest:
    """River's trees, which learn in place, shared by the states that they went through; one of them is `now`."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes: list[Any] = [node for nodes in model._tree_nodes for node in nodes]  # noqa: SLF001
        self.now: RiverHalfSpaceTrees | None = None

    def state(self) -> _State:
        late, reference = (np.array([getattr(node, name) for node in self.nodes], float) for name in _MASSES)
        return _State(late, reference, self.model.counter, first=self.model._first_window)  # noqa: SLF001

    def restore(self, state: _State) -> None:
        masses = zip(self.nodes, state.late.astype(int).tolist(), state.reference.astype(int).tolist(), strict=True)
        for node, late, reference in masses:
            node.l_mass, node.r_mass = late, reference
        self.model.counter, self.model._first_window = state.counter, state.first  # noqa: SLF001

    def splits(self) -> dict[str, Floats]:
        """Feature and threshold of each node; -1 of a leaf."""
        return {name: np.array([float(getattr(node, name, -1)) for node in self.nodes]) for name in _SPLITS}

    def split(self, features: Floats, thresholds: Floats) -> None:
        for node, feature, threshold in zip(self.nodes, features.tolist(), thresholds.tolist(), strict=True):
            if hasattr(node, "feature"):
                node.feature, node.threshold = int(feature), threshold
