"""`ScoreTransactions`: features of transactions, labels that come later, scores, and flagged transactions."""

from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.keyed import Keyed, require_bounded
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.entity import standard_features
from ecompulse.kernels.fraud.examples import marked, pack
from ecompulse.kernels.fraud.labels import as_labelled
from ecompulse.kernels.rows import conform
from ecompulse.transforms.frames import map_frames


class ScoreTransactions(beam.PTransform):
    """Scores the transactions among events of known visitors, learning as their labels come.

    Input: bounded PCollections of frames by name. `events` has the columns of an enriched event and `visitor`; identity
    resolution emits these events after the watermark has passed them. `labels` (LABELLED_SCHEMA) may be empty. Output:
    `risk_scores`, one row per transaction; `flagged_transactions`; `quality`, partial counts of data quality; `models`,
    facts about the models (QUALITY_SCHEMA). In a plain bounded pipeline each kernel sees all its input in one step,
    and `events` alone suffices.

    >>> import apache_beam as beam
    >>> import ecompulse as eco
    >>> from ecompulse.runners.local import LocalRunner
    >>> payment = {"event_type": "payment", "user_id": "u", "amount": 12.5, "currency": "EUR"}
    >>> payment |= {"event_id": "1", "payment_id": "p1", "event_time": "2025-03-01T10:00:00Z"}
    >>> frame = eco.event_frame([payment])
    >>> with beam.Pipeline(runner=LocalRunner()) as pipeline:
    ...     found = pipeline | beam.Create([frame.with_columns(visitor="user_id")]) | eco.ScoreTransactions()
    ...     _ = found["risk_scores"] | beam.Map(lambda scores: print(scores["transaction_id"].to_list()))
    ['p1']
    """

    def __init__(self, detection: FraudDetection | None = None) -> None:
        """`detection`: the standard features and models by default."""
        super().__init__()
        self._detection = detection or FraudDetection(standard_features())

    def expand(self, inputs: Any) -> Any:
        """Labels, one kernel per entity, examples, scores."""
        given = inputs if isinstance(inputs, dict) else {"events": inputs}
        require_bounded(given["events"], "ScoreTransactions")
        detection = self._detection
        rows = given["events"] | "Transactions" >> map_frames(detection.rows)
        labels = given.get("labels") or given["events"] | "No labels" >> map_frames(no_labels)
        # What identity has held is late for it, and comes out at once.
        known = (rows, labels) | "With labels" >> beam.Flatten() | Keyed(detection.labels, lag=0)
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


def no_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """An empty frame of labels."""
    return as_labelled(frame.clear())
