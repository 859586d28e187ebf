"""How a learner learns, and from where it hears labels."""

from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from ecompulse.kernels.fraud.models.registry import Models
from ecompulse.kernels.fraud.scoring_runs import ScoringRun
from ecompulse.kernels.rows import DAY_MS


class Known(Protocol):
    """Labelled examples, by the hour (since 1970) in which they became known: from the first, and before the second."""

    def news(self, first: int, until: int) -> ScoringRun:
        """To be learnt at once, with their labels."""
        ...

    def examples(self, first: int, until: int) -> pl.DataFrame:
        """Rows of the reservoir."""
        ...


@dataclass(frozen=True)
class Learning:
    """How a learner learns; all times in ms of event time.

    Attributes:
        width: number of features.
        surprising: numbers of the features that the unsupervised models look at.
        every: between versions.
        refit: between looks at whether trees are grown anew.
        margin: what a version leaves out before its boundary.
        growth: share of new examples, of those there were at the last fit, that makes trees grow anew.
        prior: share of frauds expected before any label.
        share: of legitimate examples that come, 0 to 1.
        supervised: whether labels are learnt from.
        models: which ones.
    """

    width: int
    surprising: tuple[int, ...]
    every: int = 600_000
    refit: int = DAY_MS
    margin: int = 0
    growth: float = 0.2
    prior: float = 0.005
    share: float = 1.0
    supervised: bool = True
    models: Models = field(default_factory=Models)
