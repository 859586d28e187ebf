"""`ScoreTransactions`: features of transactions, labels that come later, scores, and the few to look at."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from ecompulse.epochs.keyed import Keyed, require_bounded
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.examples import marked, pack
from ecompulse.kernels.rows import conform
from ecompulse.transforms.frames import map_frames


class ScoreTransactions(beam.PTransform):
    """Scores the transactions among events of known visitors, learning as their labels come.

    Input: bounded PCollections of frames by name: `events`, with the columns of an enriched event and `visitor`, behind
    the watermark as identity lets them go; `labels` (LABELLED_SCHEMA), perhaps empty. Output: `risk_scores`, one row
    per transaction; `flagged_transactions`; `quality`, partial counts of data quality; `models`, what is known of the
    models (QUALITY_SCHEMA). In a plain bounded pipeline each kernel sees all its input in one step.
    """

    def __init__(self, detection: FraudDetection) -> None:
        """Settings only."""
        super().__init__()
        self._detection = detection

    def expand(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Labels, one kernel per entity, examples, scores."""
        require_bounded(inputs["events"], "ScoreTransactions")
        detection = self._detection
        rows = inputs["events"] | "Transactions" >> map_frames(detection.rows)
        # What identity has held is late for it, and comes out at once.
        known = (rows, inputs["labels"]) | "With labels" >> beam.Flatten() | Keyed(detection.labels, lag=0)
        marks, found = known["marks"], known["transactions"] | "RowFeatures" >> map_frames(detection.first)
        for kernel in detection.chain:
            name = kernel.entity_name
            told = marks | f"Tell {name}" >> map_frames(conform, kernel.inputs)
            asking = found | f"Ask {name}" >> map_frames(conform, kernel.inputs)
            found = ((asking, told) | f"Both {name}" >> beam.Flatten() | Keyed(kernel))["transactions"]
        names = detection.features.names
        packed = found | "Pack" >> map_frames(pack, names)
        labelled = marks | "Labelled" >> map_frames(marked, len(names))
        examples = ((packed, labelled) | "Await labels" >> beam.Flatten() | Keyed(detection.examples))["examples"]
        scored = (packed, examples) | "To the model" >> beam.Flatten() | Keyed(detection.scores, fixed=detection.fixed)
        return {
            "risk_scores": scored["risk_scores"],
            "flagged_transactions": scored["flagged_transactions"],
            "models": scored["quality"],
            "quality": known["quality"],
        }
