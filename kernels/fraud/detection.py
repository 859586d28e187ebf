"""Fraud detection as a whole: which kernels there are, and what each is fed with."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from ecompulse.kernels.fraud.entity import MARK_SCHEMA, ROW_FEATURES, FeatureSet, row_features
from ecompulse.kernels.fraud.examples import HoldExamples
from ecompulse.kernels.fraud.history import EntityFeatures
from ecompulse.kernels.fraud.labels import JoinLabels, as_labelled
from ecompulse.kernels.fraud.learning import Learning
from ecompulse.kernels.fraud.models.registry import Models
from ecompulse.kernels.fraud.rules import Policy
from ecompulse.kernels.fraud.score import ScoreTransactions
from ecompulse.kernels.fraud.transactions import Kind, transactions
from ecompulse.kernels.rows import DAY_MS

LEGITIMATE = 200
"""Legitimate examples, in thousandths, that are let out to be learnt from."""


@dataclass(frozen=True)
class FraudDetection:
    """Settings, and the kernels that follow from them.

    Attributes:
        features: of transactions.
        kind: of event that is a transaction.
        based: amounts are in the base currency.
        base: that currency.
        horizon: ms after which a transaction without label is legitimate.
        wait: ms from a label's time until it counts.
        every: ms between versions.
        refit: ms between looks at whether trees are grown anew.
        margin: ms before its boundary that a version leaves out.
        alerts_per_day: at the most.
        timezone: of days.
        policy: rules and lists.
        legitimate: share of legitimate examples that is learnt from, in thousandths.
        models: which ones.
    """

    features: FeatureSet
    kind: Kind = "payment"
    based: bool = False
    base: str | None = None
    horizon: int = 30 * DAY_MS
    wait: int = DAY_MS
    every: int = 600_000
    refit: int = DAY_MS
    margin: int = 600_000
    alerts_per_day: int = 100
    timezone: str = "UTC"
    policy: Policy = field(default_factory=Policy)
    legitimate: int = LEGITIMATE
    models: Models = field(default_factory=Models)

    @property
    def fixed(self) -> Mapping[str, Any]:
        """Settings that state depends on, by flag: versions and features, transactions and their currency."""
        told = repr((self.features.entities, self.features.suspicious))
        digest = hashlib.sha256(told.encode()).hexdigest()[:12]
        money = {"base_currency": self.base} if self.base else {}
        return {"learn_every": f"{self.every} ms", "features": digest, "transactions": self.kind, **money}

    @cached_property
    def labels(self) -> JoinLabels:
        """Passes transactions once, tells entities of labels."""
        return JoinLabels(self.horizon, self.wait, lines=self.kind == "purchase")

    @cached_property
    def chain(self) -> Sequence[EntityFeatures]:
        """One kernel per entity; each is fed by the one before."""
        found: list[EntityFeatures] = []
        before: tuple[str, ...] = ROW_FEATURES
        for name, entity in self.features.entities.items():
            found.append(EntityFeatures(name, entity, before))
            before = (*before, *found[-1].features)
        return found

    @cached_property
    def examples(self) -> HoldExamples:
        """Keeps features until the label is known."""
        return HoldExamples(len(self.features.names), 2 * self.horizon + self.wait, self.legitimate)

    @cached_property
    def scores(self) -> ScoreTransactions:
        """Scores and learns."""
        names = tuple(self.features.names)
        how = Learning(
            len(names), self.features.suspicious, self.every, self.refit, self.margin,
            share=self.legitimate / 1_000, models=self.models,
        )  # fmt: skip
        keep = 2 * self.horizon + self.wait + DAY_MS
        return ScoreTransactions(names, how, self.alerts_per_day, self.timezone, self.policy, self.based, keep=keep)

    def rows(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events with visitor as what `labels` is fed with."""
        return as_labelled(transactions(events, self.kind, based=self.based))

    def first(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What comes from `labels` as what the chain is fed with."""
        found = row_features(rows, self.features)
        return found.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in MARK_SCHEMA.items())
