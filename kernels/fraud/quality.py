"""What is known of the models, for the progress."""

from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud import daybook
from ecompulse.kernels.fraud.brain import Brain
from ecompulse.kernels.fraud.budget import Budget

PART: Final = "models"
"""Under which the progress shows what is known of the models."""

QUALITY_SCHEMA: Final = pl.Schema({"name": pl.String(), "value": pl.Float64()})


def quality_of(brain: Brain, budget: Budget, days: pl.DataFrame) -> pl.DataFrame:
    """Names and values: of scores on labels that were not learnt yet, of days whose labels are there, of today."""
    tally, day = brain.tallies["active"], budget.days[max(budget.days)]
    slope, shift = tally.calibration or (1.0, 0.0)
    odds = np.log(max(day.threshold, 1e-9) / max(1 - day.threshold, 1e-9))
    wrong, right = tally.above((odds - shift) / slope)
    found: dict[str, Any] = {
        "average_precision": tally.average_precision(),
        "shadow_average_precision": brain.tallies["shadow"].average_precision(),
        "recall_at_threshold": min(right / tally.frauds, 1.0) if tally.frauds else None,  # sums of floats
        "precision_at_threshold": right / (right + wrong) if right + wrong else None,
        **daybook.quality(days),
        "known_frauds": brain.facts["frauds"],
        "promoted": brain.facts["promoted"],
        "score_drifts": brain.drift["score"].found,
        "fraud_drifts": brain.drift["frauds"].found,
        "threshold": day.threshold,
        "alerts_today": day.alerts,
    }
    rows = [(name, float(value)) for name, value in found.items() if value is not None]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA, orient="row")
