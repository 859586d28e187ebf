"""A learner as the parts that a checkpoint keeps, each written only when it has changed."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ecompulse.kernels.fraud.artefact import dump_artefact, load_artefact
from ecompulse.kernels.fraud.drift import Drift
from ecompulse.kernels.fraud.learning import Learning
from ecompulse.kernels.fraud.models.boosting import BoostedTrees
from ecompulse.kernels.fraud.models.interface import TrainingBatch
from ecompulse.kernels.fraud.models.registry import NONE, load_model
from ecompulse.kernels.fraud.online_learner import HISTOGRAMS, OnlineLearner
from ecompulse.kernels.fraud.score_histograms import ScoreHistogram
from ecompulse.kernels.fraud.score_ranks import Ranks

_KIND: Final = "brain"
_MODELS: Final = ("profile", "watcher", "online", "trees", "shadow")
PARTS: Final = ("", *_MODELS)
"""Names of a learner's parts: where it is and what is pending, and its models."""

_PENDING: Final = "pending"


def dump_learner(learner: OnlineLearner) -> dict[str, bytes]:
    """Parts by name, of PARTS."""
    models = {name: getattr(learner, name) for name in _MODELS}
    arrays: dict[str, np.ndarray] = {
        f"tally {name}": histogram.counts for name, histogram in learner.histograms.items()
    }
    arrays |= {f"drift {name}": drift.values for name, drift in learner.drift.items()}
    arrays["ranks"] = learner.ranks.counts
    for interval, note in learner.pending.items():
        arrays |= {f"{_PENDING} {interval} {part} {name}": note[part][name] for part in note for name in note[part]}
    facts = {**learner.facts, "drifts": {name: drift.found for name, drift in learner.drift.items()}}
    parts = {name: model.dump() for name, model in models.items() if model}
    return {"": dump_artefact(_KIND, facts, arrays), **parts}


def load_learner(parts: Mapping[str, bytes], how: Learning) -> OnlineLearner:
    """The inverse of `dump_learner`.

    Raises:
        ArtefactError: a part is damaged, or of another model than is chosen.
    """
    facts, arrays = load_artefact(_KIND, parts[""])
    found, models = facts.pop("drifts"), how.models
    watcher = None if models.unsupervised == "tails" else models.unsupervised
    kinds = {"profile": "tails", "watcher": watcher, "online": None if models.online == NONE else models.online}
    kinds |= dict.fromkeys(("trees", "shadow"), BoostedTrees.kind)
    roles = {"watcher": "unsupervised", "shadow": "trees"}
    kept: dict[str, Any] = dict.fromkeys(_MODELS)
    kept |= {name: load_model(parts[name], roles.get(name, name), kinds[name]) for name in _MODELS if name in parts}
    for name in ("watcher", "online"):
        if kinds[name] and kept[name] is None:  # chosen since: it begins now
            kept[name] = models.watcher(how.surprising) if name == "watcher" else models.learner(how.width)
    return OnlineLearner(
        facts,
        kept["profile"],
        kept["watcher"],
        kept["online"],
        Ranks(arrays["ranks"]),
        _pending(arrays),
        kept["trees"],
        kept["shadow"],
        {name: ScoreHistogram(arrays[f"tally {name}"]) for name in HISTOGRAMS},
        {name: Drift(arrays[f"drift {name}"], found[name]) for name in found},
    )


def _pending(arrays: Mapping[str, np.ndarray]) -> dict[int, dict[str, TrainingBatch]]:
    found: dict[int, dict[str, Any]] = {}
    for key, array in arrays.items():
        words = key.split(" ")
        if words[0] == _PENDING:
            found.setdefault(int(words[1]), {}).setdefault(words[2], {})[words[3]] = array
    return found
