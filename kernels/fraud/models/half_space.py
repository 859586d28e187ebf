"""`HalfSpaceTrees`: how thinly the space around a transaction is populated, many lines at once."""

from typing import Final

import numpy as np

from ecompulse.kernels.fraud.artefact import dump_artefact, load_artefact
from ecompulse.kernels.fraud.entity_timeline import Floats, Ints
from ecompulse.kernels.fraud.models.interface import Labels, Matrix, TrainingBatch
from ecompulse.kernels.fraud.models.scaling import Ranges

_THIN: Final = 0.1  # share of the lines below which a node is not divided further, as in the paper
_FLOOR: Final = 1e-6


class HalfSpaceTrees:
    """Unsupervised: random trees that halve the space, with the share of transactions in each of their nodes.

    Score: the height in bits less -ln of the mean, over trees, of share x 2^depth of the node in which a line ends: a
    leaf, or the first node that holds almost nothing. After Tan, Ting and Liu, Fast Anomaly Detection for Streaming
    Data (IJCAI 2011), with masses that age (`half_life`) in place of two windows, so that the order of learning makes
    no difference. Features are looked at as asinh, within the range that they had; unknown is the middle.
    """

    kind: str = "half_space_trees"

    def __init__(self, chosen: Ints, half_life: int, arrays: dict[str, np.ndarray]) -> None:
        """`arrays`: `split` (feature) and `at` (0 to 1) of inner nodes, `mass` of all, by tree; `low`, `high`."""
        self.chosen = chosen
        self.half_life = half_life
        self.arrays = arrays
        self.ranges = Ranges(arrays["low"], arrays["high"])
        self.height = int(np.log2(arrays["mass"].shape[1] + 1)) - 1

    @staticmethod
    def grown(chosen: Ints, half_life: int, trees: int = 25, height: int = 8, seed: int = 1) -> "HalfSpaceTrees":
        """New ones, which have seen nothing."""
        random, inner = np.random.default_rng(seed), 2**height - 1
        split = random.integers(0, chosen.size, (trees, inner))
        # A work range about a random point of each feature, so that it holds 0 to 1 wherever it is halved.
        centre = random.random((trees, chosen.size))
        reach = 2 * np.maximum(centre, 1 - centre)
        at = _halved(split, centre - reach, centre + reach)
        ranges = Ranges.none(chosen.size)
        masses = {"mass": np.zeros((trees, 2 * inner + 1)), "low": ranges.low, "high": ranges.high}
        return HalfSpaceTrees(chosen, half_life, {"split": split, "at": at, **masses})

    def _paths(self, columns: Matrix) -> list[Ints]:
        """Node of each line (rows) in each tree (columns), by depth."""
        place = self.ranges.scaled(columns[:, self.chosen])
        tree = np.arange(self.arrays["split"].shape[0])
        node = np.zeros((place.shape[0], tree.size), np.int64)
        found, line = [node], np.arange(place.shape[0])[:, None]
        for _ in range(self.height):
            right = place[line, self.arrays["split"][tree, node]] >= self.arrays["at"][tree, node]
            node = 2 * node + 1 + right
            found.append(node)
        return found

    def score_many(self, columns: Matrix) -> Floats:
        """0 and more."""
        mass = self.arrays["mass"] / np.maximum(self.arrays["mass"][:, :1], 1.0)
        tree = np.arange(mass.shape[0])
        ended = total = np.zeros((columns.shape[0], mass.shape[0]))
        for depth, node in enumerate(self._paths(columns)):
            here = mass[tree, node]
            ends = (ended == 0) & ((here <= _THIN) | (depth == self.height))
            total = np.where(ends, here * 2.0**depth, total)
            ended = np.where(ends, 1.0, ended)
        found: Floats = self.height * np.log(2) - np.log(total.mean(axis=1) + _FLOOR)
        return found

    def training_batch(self, columns: Matrix) -> TrainingBatch:
        """How many lines come through each node, and the range of each feature."""
        trees, nodes = self.arrays["mass"].shape
        flat = np.concatenate([(node + np.arange(trees) * nodes).ravel() for node in self._paths(columns)])
        counts = np.bincount(flat, minlength=trees * nodes).reshape(trees, nodes)
        return {"mass": counts, **Ranges.of(columns[:, self.chosen]).arrays()}

    @staticmethod
    def joined(first: TrainingBatch, then: TrainingBatch) -> TrainingBatch:
        """Both."""
        ranges = Ranges(first["low"], first["high"]).wider(Ranges(then["low"], then["high"]))
        return {"mass": first["mass"] + then["mass"], **ranges.arrays()}

    def fitted_to(self, training_batch: TrainingBatch) -> "HalfSpaceTrees":
        """The same with these counts too."""
        both = self.joined({name: self.arrays[name] for name in ("mass", "low", "high")}, training_batch)
        return HalfSpaceTrees(self.chosen, self.half_life, {**self.arrays, **both})

    def aged(self, passed: int) -> "HalfSpaceTrees":
        """The same with what was counted weighing less."""
        mass = self.arrays["mass"] * 0.5 ** (passed / self.half_life)
        return HalfSpaceTrees(self.chosen, self.half_life, {**self.arrays, "mass": mass})

    def learn_many(
        self, columns: Matrix, labels: Labels | None = None, weights: Floats | None = None
    ) -> "HalfSpaceTrees":
        """Count the lines."""
        del labels, weights
        return self.fitted_to(self.training_batch(columns))

    def dump(self) -> bytes:
        """Trees and masses."""
        return dump_artefact(self.kind, {"half_life": self.half_life}, {"chosen": self.chosen, **self.arrays})

    @classmethod
    def load(cls, blob: bytes) -> "HalfSpaceTrees":
        """The inverse of `dump`."""
        facts, arrays = load_artefact(cls.kind, blob)
        return cls(arrays.pop("chosen"), int(facts["half_life"]), arrays)


def _halved(split: Ints, low: Floats, high: Floats) -> Floats:
    """Where each inner node divides its feature: the middle of what its ancestors left of the range."""
    trees, inner = split.shape
    at, tree = np.zeros((trees, inner)), np.arange(trees)
    lows, highs = np.empty((inner, trees, low.shape[1])), np.empty((inner, trees, low.shape[1]))
    lows[0], highs[0] = low, high
    for node in range(inner):
        feature = split[:, node]
        at[:, node] = (lows[node][tree, feature] + highs[node][tree, feature]) / 2
        for child in (2 * node + 1, 2 * node + 2):
            if child < inner:
                lows[child], highs[child] = lows[node], highs[node]
                bound = highs if child == 2 * node + 1 else lows
                bound[child][tree, feature] = at[:, node]
    return at
