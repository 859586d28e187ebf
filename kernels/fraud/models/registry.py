"""Which models score, and how they learn: the file of `--models`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final, Literal, cast

import numpy as np

from ecompulse.kernels.config import ConfigError, Duration, parse_config
from ecompulse.kernels.fraud.artefact import ArtefactError, kind_of
from ecompulse.kernels.fraud.models.boosting import BoostedTrees, Boosting
from ecompulse.kernels.fraud.models.ecod import EcodScores
from ecompulse.kernels.fraud.models.half_space import HalfSpaceTrees
from ecompulse.kernels.fraud.models.interface import Model, Unsupervised
from ecompulse.kernels.fraud.models.logistic import OnlineLogistic
from ecompulse.kernels.fraud.models.river_logistic import RiverLogistic
from ecompulse.kernels.fraud.models.river_trees import RiverHalfSpaceTrees
from ecompulse.kernels.fraud.reservoir import Pool
from ecompulse.kernels.rows import DAY_MS

CLASSES: Final[Mapping[str, Any]] = {
    found.kind: found
    for found in (EcodScores, HalfSpaceTrees, RiverHalfSpaceTrees, OnlineLogistic, RiverLogistic, BoostedTrees)
}
"""Models by the kind that their dump names."""

NONE: Final = "none"
_RIVER: Final = "river_"


@dataclass(frozen=True)
class HalfSpace:
    """Half-space trees: how many, how high; `window` (transactions) is river's, `seed` draws them."""

    trees: int = 25
    height: int = 8
    window: int = 250
    seed: int = 1

    def __post_init__(self) -> None:
        if self.trees < 1 or not 1 <= self.height <= 12 or self.window < 1:  # noqa: PLR2004  # 8,191 nodes a tree
            raise ValueError("trees and window must be 1 or more, height 1 to 12")


@dataclass(frozen=True)
class Models:
    """Models, by what they are for.

    Attributes:
        unsupervised: scores from the first transaction.
        online: learns labels as they come, and speaks until there are boosted trees.
        boosted: is fitted anew to the reservoir.
        half_space: settings of half-space trees.
        boosting: settings of boosted trees.
        reservoir: labelled examples that are kept.
        half_life: ms after which what was counted without labels weighs half.
    """

    unsupervised: Literal["tails", "half_space_trees", "river_half_space_trees"] = "tails"
    online: Literal["logistic", "river_logistic", "none"] = "logistic"
    boosted: Literal["xgboost", "none"] = "xgboost"
    half_space: HalfSpace = field(default_factory=HalfSpace)
    boosting: Boosting = field(default_factory=Boosting)
    reservoir: Pool = field(default_factory=Pool)
    half_life: Duration = 14 * DAY_MS

    def __post_init__(self) -> None:
        if self.half_life < 1:
            raise ConfigError("half_life", "must be above 0")
        for key in ("unsupervised", "online"):
            if getattr(self, key).startswith(_RIVER) and find_spec("river") is None:
                raise ConfigError(key, f"{getattr(self, key)} needs river; install ecompulse[river]")

    def profile(self, chosen: tuple[int, ...]) -> EcodScores:
        """What reasons are taken from, and the unsupervised model unless another one is chosen."""
        return EcodScores(np.array(chosen, np.int64), self.half_life)

    def watcher(self, chosen: tuple[int, ...]) -> Unsupervised | None:
        """The unsupervised model if it is not the profile."""
        features, how = np.array(chosen, np.int64), self.half_space
        if self.unsupervised == HalfSpaceTrees.kind:
            return HalfSpaceTrees.grown(features, self.half_life, how.trees, how.height, how.seed)
        if self.unsupervised == RiverHalfSpaceTrees.kind:
            return RiverHalfSpaceTrees.grown(features, how.trees, how.height, how.window, how.seed)
        return None

    def learner(self, width: int) -> Model | None:
        """The online model of `width` features."""
        return None if self.online == NONE else cast("Model", CLASSES[self.online](width))


def load_model(blob: bytes, role: str, wanted: str | None) -> Any:
    """A model of any kind.

    Raises:
        ArtefactError: it is damaged, of an unknown kind, or not of the kind that is `wanted` for this `role`.
    """
    kind = kind_of(blob)
    if kind not in CLASSES or kind != wanted:
        chosen = wanted or NONE
        raise ArtefactError(
            f"the {role} model of the checkpoint is {kind}, --models asks for {chosen}: that needs another checkpoint"
        )
    return CLASSES[kind].load(blob)


def parse_models(text: str, origin: str = "") -> Models:
    """The models of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    return parse_config(Models, text, origin)
