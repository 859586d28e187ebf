"""What is learnt, in versions that advance at boundaries of event time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.artefact import dump_artefact, load_artefact
from ecompulse.kernels.fraud.drift import Drift
from ecompulse.kernels.fraud.examples import matrix
from ecompulse.kernels.fraud.line import Floats
from ecompulse.kernels.fraud.models import BoostedTrees, Matrix, OnlineLogistic, TailScores
from ecompulse.kernels.fraud.reservoir import HOUR, Pool, training_set
from ecompulse.kernels.fraud.tallies import Tally
from ecompulse.kernels.rows import DAY_MS

Advance = Callable[[int, int], pl.DataFrame]
"""Examples that became known in the hours from the first, and before the second (hours since 1970)."""

_EVER: Final = -1
_TRUST: Final = 50.0  # labels of the rarer kind at which supervised and unsupervised have equal say
_MOST: Final = 0.85  # of the say that supervised models may have: frauds of a new kind stay rare
_LIMIT: Final = 15.0
_KIND: Final = "brain"
PARTS: Final = ("", "tails", "logistic", "trees", "shadow")
"""Names of a brain's parts: where it is and what is pending, and its models."""

_PENDING: Final = ("counts", "own")
_TALLIES: Final = ("active", "shadow", "rival")
_FIRST: Final = 20.0  # frauds before trees are grown, or a shadow is judged
_GRACE: Final = 0.01  # of average precision that a shadow may be behind
_BRIEF: Final = DAY_MS  # half-life of what is usual of late
_PATIENCE: Final = 7 * DAY_MS


@dataclass(frozen=True)
class Learning:
    """How a brain learns; all times in ms of event time.

    Attributes:
        width: number of features.
        surprising: numbers of the features that the unsupervised model looks at.
        every: between versions.
        refit: between looks at whether trees are grown anew.
        margin: what a version leaves out before its boundary.
        growth: share of new examples, of those there were at the last fit, that makes trees grow anew.
        pool: the reservoir.
        memory: half-life of what the unsupervised model and the tallies have counted.
        prior: share of frauds expected before any label.
        share: of legitimate examples that come, 0 to 1.
        supervised: whether labels are learnt from.
    """

    width: int
    surprising: tuple[int, ...]
    every: int = HOUR
    refit: int = DAY_MS
    margin: int = 0
    growth: float = 0.2
    pool: Pool = field(default_factory=Pool)
    memory: int = 14 * DAY_MS
    prior: float = 0.005
    share: float = 1.0
    supervised: bool = True


@dataclass(frozen=True)
class Brain:
    """Models of one version, and what is pending for the next ones.

    Attributes:
        facts: where it is: `version`, `hours` of labels learnt, `looked` (last look at a refit), `fitted` and
            `shadowed` (ms, when the trees and their shadow were grown), `examples` there were then, `fresh` ones
            since, `frauds`, `legitimate` ones and `promoted` shadows ever.
        tails: unsupervised.
        pending: by interval, what the unsupervised model will have learnt.
        logistic: online.
        trees: the active booster; None before the first.
        shadow: the one that wants to follow it.
        tallies: of scores by model: `active`, `shadow`, and `rival` (the active since the shadow began).
        drift: of scores and of the share of frauds.
    """

    facts: Mapping[str, int]
    tails: TailScores
    pending: Mapping[int, TailScores]
    logistic: OnlineLogistic
    trees: BoostedTrees | None = None
    shadow: BoostedTrees | None = None
    tallies: Mapping[str, Tally] = field(default_factory=lambda: {name: Tally() for name in _TALLIES})
    drift: Mapping[str, Drift] = field(default_factory=lambda: {"score": Drift(), "frauds": Drift()})

    @staticmethod
    def new(how: Learning) -> "Brain":
        """Knows nothing."""
        chosen = np.array(how.surprising, np.int64)
        facts = dict.fromkeys(("version", "hours", "looked", "fitted", "shadowed"), _EVER)
        facts |= dict.fromkeys(("examples", "fresh", "frauds", "legitimate", "promoted"), 0)
        return Brain(facts, TailScores(chosen), {}, OnlineLogistic(how.width))

    def at(self, version: int, how: Learning, told: Advance) -> "Brain":
        """The brain at a later version's boundary: all that was before it, less the margin, is learnt."""
        if version <= self.facts["version"]:
            return self
        brain = self._folded(version, how)
        if how.supervised:
            now = version * how.every - how.margin
            brain = brain._taught(now // HOUR, how, told)  # noqa: SLF001
            brain = brain._looked(now // how.refit, how, told)  # noqa: SLF001
        return brain

    def _folded(self, version: int, how: Learning) -> "Brain":
        last = self.facts["version"]
        passed = 0 if last == _EVER else version - last
        factor, brief = (0.5 ** (passed * how.every / half) for half in (how.memory, _BRIEF))
        ready = sorted(interval for interval in self.pending if interval < version)
        tails = self.tails.aged(factor, brief)
        drift = dict(self.drift)
        for interval in ready:
            tails = tails.plus(self.pending[interval])
            drift["score"] = drift["score"].plus(self.pending[interval].mean())
        pending = {interval: tally for interval, tally in self.pending.items() if interval >= version}
        tallies = {name: tally.aged(factor) for name, tally in self.tallies.items()}
        facts = {**self.facts, "version": version}
        return replace(self, facts=facts, tails=tails, pending=pending, tallies=tallies, drift=drift)

    def _taught(self, hour: int, how: Learning, told: Advance) -> "Brain":
        """Labels of the hours that are over: scored first, then learnt."""
        done = self.facts["hours"]
        if hour <= done:
            return self
        news = told(done if done != _EVER else 0, hour)
        brain = replace(self, facts={**self.facts, "hours": hour})
        if news.is_empty():
            return brain
        columns, labels = matrix(news, how.width), news["label"].to_numpy().astype(float)
        weights = np.where(labels > 0, 1.0, 1 / how.share)
        tallies = dict(self.tallies)
        tallies["active"] = tallies["active"].plus(self._supervised(columns), labels, weights)
        if self.shadow:
            tallies["rival"] = tallies["rival"].plus(self._supervised(columns), labels, weights)
            tallies["shadow"] = tallies["shadow"].plus(self.shadow.score_many(columns), labels, weights)
        facts = {**brain.facts, "fresh": brain.facts["fresh"] + labels.size}
        facts["frauds"] += int(labels.sum())
        facts["legitimate"] += int((1 - labels).sum())
        drift = {**self.drift, "frauds": self.drift["frauds"].plus(float(weights[labels > 0].sum() / weights.sum()))}
        logistic = self.logistic if self.trees else self._balanced(columns, labels)
        return replace(brain, facts=facts, tallies=tallies, drift=drift, logistic=logistic)

    def _balanced(self, columns: Matrix, labels: Floats) -> OnlineLogistic:
        """The online model, told frauds and the rest with equal weight."""
        frauds = max(labels.sum(), 1.0)
        share = np.where(labels > 0, (labels.size - labels.sum()) / frauds + 1.0, 1.0)
        return self.logistic.learn_many(columns, labels, share)

    def _looked(self, look: int, how: Learning, told: Advance) -> "Brain":
        """Judge the shadow; grow trees anew when enough has come."""
        if look <= self.facts["looked"]:
            return self
        now = look * how.refit
        judged = self._judged(now)
        brain = replace(judged, facts={**judged.facts, "looked": look})
        enough = brain.facts["frauds"] >= _FIRST and brain.facts["fresh"] >= how.growth * brain.facts["examples"]
        if brain.shadow or not enough:
            return brain
        there = told((now - how.pool.keep) // HOUR, now // HOUR)
        news = training_set(there, how.pool, now)
        if news.weights.size == 0 or not 0 < news.labels.sum() < news.labels.size:
            return brain
        grown = BoostedTrees().learn_many(matrix(news.rows, how.width), news.labels, news.weights)
        facts = {**brain.facts, "examples": there.height, "fresh": 0}
        if brain.trees is None:
            return replace(brain, facts={**facts, "fitted": now, "promoted": 1}, trees=grown, tallies=_fresh())
        tallies = {**brain.tallies, "shadow": Tally(), "rival": Tally()}
        return replace(brain, facts={**facts, "shadowed": now}, shadow=grown, tallies=tallies)

    def _judged(self, now: int) -> "Brain":
        """The shadow becomes active once it was seen to be as good; it is dropped when it is not in time."""
        if self.shadow is None:
            return self
        shadow, rival = self.tallies["shadow"], self.tallies["rival"]
        found, active = shadow.average_precision(), rival.average_precision()
        if shadow.frauds >= _FIRST and found is not None and active is not None and found >= active - _GRACE:
            facts = {**self.facts, "fitted": self.facts["shadowed"], "promoted": self.facts["promoted"] + 1}
            tallies = {**self.tallies, "active": shadow, "shadow": Tally(), "rival": Tally()}
            return replace(self, facts=facts, trees=self.shadow, shadow=None, tallies=tallies)
        late = now - self.facts["shadowed"] > _PATIENCE
        return replace(self, shadow=None) if late else self

    def _supervised(self, columns: Matrix) -> Floats:
        return (self.trees or self.logistic).score_many(columns)

    def score_many(self, columns: Matrix, how: Learning) -> Floats:
        """Probability of fraud of each line: from how rare it is to what labels say, as labels come."""
        rare = self.tails.rarity(self.tails.score_many(columns))
        odds = np.log(how.prior / rare)
        known = min(self.facts["frauds"], self.facts["legitimate"]) if how.supervised else 0
        if known:
            # Without evidence: right but for the legitimate examples that were left out.
            slope, shift = self.tallies["active"].calibration() or (1.0, float(np.log(how.share)))
            trust = _MOST * known / (known + _TRUST)
            odds = trust * (slope * self._supervised(columns) + shift) + (1 - trust) * odds
        found: Floats = 1 / (1 + np.exp(-np.clip(odds, -_LIMIT, _LIMIT)))
        return found

    def with_pending(self, interval: int, columns: Matrix) -> "Brain":
        """With transactions that a later version will have learnt."""
        tally = self.tails.tally(columns)
        before = self.pending.get(interval)
        return replace(self, pending={**self.pending, interval: before.plus(tally) if before else tally})

    def _pending(self, part: str) -> Floats:
        """One array of all that is pending, by interval."""
        found = [getattr(self.pending[interval], part) for interval in sorted(self.pending)]
        return np.stack(found) if found else np.empty(0)

    def dump(self) -> dict[str, bytes]:
        """Parts by name, of PARTS."""
        parts: dict[str, Any] = {"tails": self.tails, "logistic": self.logistic}
        parts |= {name: model for name, model in (("trees", self.trees), ("shadow", self.shadow)) if model}
        arrays = {f"tally {name}": tally.counts for name, tally in self.tallies.items()}
        arrays |= {f"drift {name}": drift.values for name, drift in self.drift.items()}
        arrays |= {f"pending {part}": self._pending(part) for part in _PENDING}
        facts = {
            **self.facts,
            "intervals": sorted(self.pending),
            "drifts": {name: drift.found for name, drift in self.drift.items()},
        }
        return {"": dump_artefact(_KIND, facts, arrays), **{name: part.dump() for name, part in parts.items()}}

    @staticmethod
    def load(parts: Mapping[str, bytes]) -> "Brain":
        """The inverse of `dump`."""
        facts, arrays = load_artefact(_KIND, parts[""])
        found, tails = facts.pop("drifts"), TailScores.load(parts["tails"])
        counts, own = (arrays[f"pending {part}"] for part in _PENDING)
        pending = {
            interval: TailScores(tails.chosen, counts[n], own[n]) for n, interval in enumerate(facts.pop("intervals"))
        }
        trees, shadow = (BoostedTrees.load(parts[name]) if name in parts else None for name in ("trees", "shadow"))
        return Brain(
            facts,
            tails,
            pending,
            OnlineLogistic.load(parts["logistic"]),
            trees,
            shadow,
            {name: Tally(arrays[f"tally {name}"]) for name in _TALLIES},
            {name: Drift(arrays[f"drift {name}"], found[name]) for name in found},
        )


def _fresh() -> dict[str, Tally]:
    return {name: Tally() for name in _TALLIES}
