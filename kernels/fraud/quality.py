"""What is known of the models, for the progress."""

from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud import daily_precision
from ecompulse.kernels.fraud.budget import Budget
from ecompulse.kernels.fraud.online_learner import OnlineLearner

PART: Final = "models"
"""Under which the progress shows what is known of the models."""

QUALITY_SCHEMA: Final = pl.Schema({"name": pl.String(), "value": pl.Float64()})


def quality_of(learner: OnlineLearner, budget: Budget, days: pl.DataFrame) -> pl.DataFrame:
    """Names and values: of scores on labels that were not learnt yet, of days whose labels are there, of today."""
    histogram, day = learner.histograms["active"], budget.days[max(budget.days)]
    slope, shift = histogram.calibration or (1.0, 0.0)
    odds = np.log(max(day.threshold, 1e-9) / max(1 - day.threshold, 1e-9))
    wrong, right = histogram.above((odds - shift) / slope)
    found: dict[str, Any] = {
        "average_precision": histogram.average_precision(),
        "shadow_average_precision": learner.histograms["shadow"].average_precision(),
        "recall_at_threshold": min(right / histogram.frauds, 1.0) if histogram.frauds else None,  # sums of floats
        "precision_at_threshold": right / (right + wrong) if right + wrong else None,
        **daily_precision.quality(days),
        "known_frauds": learner.facts["frauds"],
        "promoted": learner.facts["promoted"],
        "score_drifts": learner.drift["score"].found,
        "fraud_drifts": learner.drift["frauds"].found,
        "threshold": day.threshold,
        "alerts_today": day.alerts,
    }
    rows = [(name, float(value)) for name, value in found.items() if value is not None]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA, orient="row")
