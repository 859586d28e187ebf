"""The interface of models: score many, learn many, dump and load; nothing row by row."""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ecompulse.kernels.fraud.entity_timeline import Floats

Matrix = NDArray[np.float32]
"""One line per transaction, one column per feature; NaN where unknown."""

Labels = NDArray[np.float64]

TrainingBatch = dict[str, np.ndarray]
"""What lines teach an unsupervised model, by name: noted when they come, learnt at a later boundary of event time."""


class Model(Protocol):
    """A model learns from columns and scores them; a higher score is more suspicious.

    Attributes:
        kind: names the class in its dump.
    """

    kind: str

    def score_many(self, columns: Matrix) -> Floats:
        """One score per line; log-odds if the model is supervised."""
        ...

    def learn_many(self, columns: Matrix, labels: Labels | None, weights: Floats | None = None) -> Self:
        """The model that has learnt these lines too; `labels` None for models that need none."""
        ...

    def dump(self) -> bytes:
        """As bytes, with a checksum; nothing in them is executed when they are read."""
        ...

    @classmethod
    def load(cls, blob: bytes) -> Self:
        """The inverse of `dump`; ArtefactError for anything else."""
        ...


class Unsupervised(Model, Protocol):
    """A model that learns without labels, in two steps, so that versions can advance at boundaries of event time."""

    def training_batch(self, columns: Matrix) -> TrainingBatch:
        """What these lines will teach."""
        ...

    @staticmethod
    def joined(first: TrainingBatch, then: TrainingBatch) -> TrainingBatch:
        """Two lessons as one, the earlier lines first."""
        ...

    def fitted_to(self, training_batch: TrainingBatch) -> Self:
        """The model that has learnt it."""
        ...

    def aged(self, passed: int) -> Self:
        """The model `passed` ms of event time later."""
        ...
