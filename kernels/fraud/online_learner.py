"""The learner: its versions advance at boundaries of event time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from ecompulse.kernels.fraud.drift import Drift
from ecompulse.kernels.fraud.entity_timeline import Floats
from ecompulse.kernels.fraud.examples import matrix
from ecompulse.kernels.fraud.learning import Known, Learning
from ecompulse.kernels.fraud.models.boosting import BoostedTrees
from ecompulse.kernels.fraud.models.ecod import EcodScores, norm
from ecompulse.kernels.fraud.models.interface import Model, TrainingBatch, Unsupervised
from ecompulse.kernels.fraud.models.registry import NONE
from ecompulse.kernels.fraud.reservoir import HOUR, training_set
from ecompulse.kernels.fraud.score_histograms import ScoreHistogram
from ecompulse.kernels.fraud.score_ranks import Ranks, in_units, total_of
from ecompulse.kernels.fraud.scoring_runs import ScoringRun
from ecompulse.kernels.rows import DAY_MS

EVER: Final = -1
_TRUST: Final = 50.0  # labels of the rarer kind at which supervised and unsupervised have equal say
_MOST: Final = 0.85  # of the say that supervised models may have: frauds of a new kind stay rare
_LIMIT: Final = 15.0
_FIRST: Final = 20.0  # frauds before trees are grown, or a shadow is judged
_GRACE: Final = 0.01  # of average precision that a shadow may be behind
_PATIENCE: Final = 7 * DAY_MS
HISTOGRAMS: Final = ("active", "shadow", "rival")


@dataclass(frozen=True)
class OnlineLearner:
    """Models of one version, and what is pending for the next ones.

    Attributes:
        facts: where it is: `version`, `hours` of labels learnt, `looked` (last look at a refit), `fitted` and
            `shadowed` (ms, when the trees and their shadow were grown), `examples` there were then, `fresh` ones
            since, `frauds`, `legitimate` ones and `promoted` shadows ever; hours to which histograms have aged
            (`tallied`) and drift of scores was looked for (`drifted`), and sum (`steps`) and number of scores since
            (`counted`).
        profile: tails: what is usual; the unsupervised model, unless there is a `watcher`.
        watcher: another unsupervised model.
        ranks: of the unsupervised scores.
        pending: by interval, what `profile`, `watcher` and `ranks` will have learnt.
        online: the online model, if there is to be one.
        trees: the active booster; None before the first.
        shadow: the candidate that may replace it.
        histograms: of scores by model: `active`, `shadow`, and `rival` (the active since the shadow began).
        drift: of scores and of the share of frauds.
    """

    facts: Mapping[str, int]
    profile: EcodScores
    watcher: Unsupervised | None
    online: Model | None
    ranks: Ranks = field(default_factory=Ranks)
    pending: Mapping[int, Mapping[str, TrainingBatch]] = field(default_factory=dict)
    trees: BoostedTrees | None = None
    shadow: BoostedTrees | None = None
    histograms: Mapping[str, ScoreHistogram] = field(
        default_factory=lambda: {name: ScoreHistogram() for name in HISTOGRAMS}
    )
    drift: Mapping[str, Drift] = field(default_factory=lambda: {"score": Drift(), "frauds": Drift()})

    @staticmethod
    def new(how: Learning) -> "OnlineLearner":
        """Knows nothing."""
        facts = dict.fromkeys(("version", "hours", "looked", "fitted", "shadowed", "tallied", "drifted"), EVER)
        facts |= dict.fromkeys(("examples", "fresh", "frauds", "legitimate", "promoted", "steps", "counted"), 0)
        chosen, models = how.surprising, how.models
        return OnlineLearner(facts, models.profile(chosen), models.watcher(chosen), models.learner(how.width))

    def at(self, version: int, how: Learning, known: Known) -> "OnlineLearner":
        """The learner at a later version's boundary: all that was before it, less the margin, is learnt."""
        if version <= self.facts["version"]:
            return self
        learner = self._folded(version, how)
        if how.supervised:
            now = version * how.every - how.margin
            learner = learner._taught(now // HOUR, how, known)  # noqa: SLF001
            learner = learner._looked(now // how.refit, how, known)  # noqa: SLF001
        return learner

    def _folded(self, version: int, how: Learning) -> "OnlineLearner":
        """What is pending is learnt."""
        last = self.facts["version"]
        passed = 0 if last == EVER else (version - last) * how.every
        profile, ranks = self.profile.aged(passed), self.ranks.aged(0.5 ** (passed / how.models.half_life))
        watcher = self.watcher.aged(passed) if self.watcher else None
        facts = {**self.facts, "version": version}
        for interval in sorted(interval for interval in self.pending if interval < version):
            note = self.pending[interval]
            counts = note["ranks"]["counts"]
            profile, ranks = profile.fitted_to(note["profile"]), ranks.plus(counts)
            watcher = watcher.fitted_to(note["watcher"]) if watcher and "watcher" in note else watcher  # chosen since
            facts["steps"] += total_of(counts)
            facts["counted"] += int(counts.sum())
        pending = {interval: note for interval, note in self.pending.items() if interval >= version}
        found = replace(self, facts=facts, profile=profile, watcher=watcher, ranks=ranks, pending=pending)
        return found._drifted(version * how.every // HOUR)  # noqa: SLF001

    def _drifted(self, hour: int) -> "OnlineLearner":
        """Once an hour: has the mean score moved?"""
        if hour <= self.facts["drifted"] or not self.facts["counted"]:
            return self
        mean = in_units(self.facts["steps"] / self.facts["counted"])
        facts = {**self.facts, "drifted": hour, "steps": 0, "counted": 0}
        return replace(self, facts=facts, drift={**self.drift, "score": self.drift["score"].plus(mean)})

    def _taught(self, hour: int, how: Learning, known: Known) -> "OnlineLearner":
        """Labels of the hours that are over: scored first, then learnt."""
        done = self.facts["hours"]
        if hour <= done:
            return self
        news = known.news(done if done != EVER else 0, hour)
        learner = replace(self, facts={**self.facts, "hours": hour})
        if news.labels is None or not news.labels.size:
            return learner
        labels = news.labels
        weights = np.where(labels > 0, 1.0, 1 / how.share)
        facts = {**learner.facts, "tallied": hour, "fresh": learner.facts["fresh"] + labels.size}
        facts["frauds"] += int(labels.sum())
        facts["legitimate"] += int((1 - labels).sum())
        drift = {**self.drift, "frauds": self.drift["frauds"].plus(float(weights[labels > 0].sum() / weights.sum()))}
        histograms = self._counted_scores(news, labels, weights, self._faded(hour, how))
        online = self.online
        if online is not None and self.trees is None:
            online = online.learn_many(news.columns, labels, _balanced(labels))
        return replace(learner, facts=facts, histograms=histograms, drift=drift, online=online)

    def _faded(self, hour: int, how: Learning) -> Mapping[str, ScoreHistogram]:
        """The histograms, aged."""
        passed = (hour - self.facts["tallied"]) * HOUR if self.facts["tallied"] != EVER else 0
        return {
            name: histogram.aged(0.5 ** (passed / how.models.half_life)) for name, histogram in self.histograms.items()
        }

    def _counted_scores(
        self, news: ScoringRun, labels: Floats, weights: Floats, before: Mapping[str, ScoreHistogram]
    ) -> Mapping[str, ScoreHistogram]:
        """With the scores of what became known, by models that have not learnt it."""
        odds, histograms = self._supervised(news), dict(before)
        if odds is not None:
            histograms["active"] = histograms["active"].plus(odds, labels, weights)
        if self.shadow and odds is not None:
            histograms["rival"] = histograms["rival"].plus(odds, labels, weights)
            histograms["shadow"] = histograms["shadow"].plus(news.margins(self.shadow), labels, weights)
        return histograms

    def _looked(self, look: int, how: Learning, known: Known) -> "OnlineLearner":
        """Judge the shadow; train new trees when there are enough new examples."""
        if look <= self.facts["looked"] or how.models.boosted == NONE:
            return self
        now = look * how.refit
        judged = self._judged(now)
        learner = replace(judged, facts={**judged.facts, "looked": look})
        enough = learner.facts["frauds"] >= _FIRST and learner.facts["fresh"] >= how.growth * learner.facts["examples"]
        if learner.shadow or not enough:
            return learner
        pool = how.models.reservoir
        there = known.examples((now - pool.keep) // HOUR, now // HOUR)
        news = training_set(there, pool, now)
        if news.weights.size == 0 or not 0 < news.labels.sum() < news.labels.size:
            return learner
        grown = BoostedTrees(how.models.boosting)
        grown = grown.learn_many(matrix(news.rows, how.width), news.labels, news.weights)
        facts = {**learner.facts, "examples": there.height, "fresh": 0}
        if learner.trees is None:
            return replace(learner, facts={**facts, "fitted": now, "promoted": 1}, trees=grown, histograms=_empty())
        histograms = {**learner.histograms, "shadow": ScoreHistogram(), "rival": ScoreHistogram()}
        return replace(learner, facts={**facts, "shadowed": now}, shadow=grown, histograms=histograms)

    def _judged(self, now: int) -> "OnlineLearner":
        """The shadow becomes active once it has proved as good; it is dropped if it has not in time."""
        if self.shadow is None:
            return self
        shadow, rival = self.histograms["shadow"], self.histograms["rival"]
        found, active = shadow.average_precision(), rival.average_precision()
        if shadow.frauds >= _FIRST and found is not None and active is not None and found >= active - _GRACE:
            facts = {**self.facts, "fitted": self.facts["shadowed"], "promoted": self.facts["promoted"] + 1}
            histograms = {**self.histograms, "active": shadow, "shadow": ScoreHistogram(), "rival": ScoreHistogram()}
            return replace(self, facts=facts, trees=self.shadow, shadow=None, histograms=histograms)
        late = now - self.facts["shadowed"] > _PATIENCE
        return replace(self, shadow=None) if late else self

    def _supervised(self, lines: ScoringRun) -> Floats | None:
        """Log-odds by what labels have fitted_to."""
        if self.trees:
            return lines.margins(self.trees)
        return self.online.score_many(lines.columns) if self.online else None

    def rare(self, lines: ScoringRun, surprises: Floats) -> Floats:
        """Unsupervised score of each line, 0 and more; `surprises` are those of the profile."""
        return self.watcher.score_many(lines.columns) if self.watcher else norm(surprises)

    def score_many(self, lines: ScoringRun, rare: Floats, how: Learning) -> Floats:
        """Probability of fraud of each line: from how rare it is to what labels say, as labels come."""
        odds = np.log(how.prior / self.ranks.rarity(rare))
        known = min(self.facts["frauds"], self.facts["legitimate"]) if how.supervised else 0
        told = self._supervised(lines) if known else None
        if told is not None:
            # Without evidence: right but for the legitimate examples that were left out.
            slope, shift = self.histograms["active"].calibration or (1.0, float(np.log(how.share)))
            trust = _MOST * known / (known + _TRUST)
            odds = trust * (slope * told + shift) + (1 - trust) * odds
        found: Floats = 1 / (1 + np.exp(-np.clip(odds, -_LIMIT, _LIMIT)))
        return found

    def with_pending(self, interval: int, lines: ScoringRun, rare: Floats) -> "OnlineLearner":
        """With transactions, and their unsupervised scores, that a later version will have learnt."""
        note: dict[str, TrainingBatch] = {
            "profile": self.profile.note(lines.bins),
            "ranks": {"counts": Ranks.note(rare)},
        }
        if self.watcher:
            note["watcher"] = self.watcher.training_batch(lines.columns)
        before = self.pending.get(interval)
        if before:
            joined: dict[str, TrainingBatch] = {"profile": self.profile.joined(before["profile"], note["profile"])}
            joined["ranks"] = {"counts": before["ranks"]["counts"] + note["ranks"]["counts"]}
            if self.watcher:
                joined["watcher"] = self.watcher.joined(before["watcher"], note["watcher"])
            note = joined
        return replace(self, pending={**self.pending, interval: note})


def _balanced(labels: Floats) -> Floats:
    """Weights that give frauds and the rest equal total weight."""
    frauds = max(labels.sum(), 1.0)
    return np.where(labels > 0, (labels.size - labels.sum()) / frauds + 1.0, 1.0)


def _empty() -> dict[str, ScoreHistogram]:
    return {name: ScoreHistogram() for name in HISTOGRAMS}
