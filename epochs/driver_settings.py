"""How a driver runs: when epochs begin, how large they are, how often it tries again."""

from dataclasses import dataclass, field
from typing import Final

SNAPSHOT_EVERY: Final = 20  # epochs between complete snapshots of source positions


@dataclass(frozen=True)
class Trigger:
    """When the next epoch starts.

    Attributes:
        interval: seconds between starts of epochs; None: one after the other until the input ends.
        once: one epoch of rows only.
    """

    interval: float | None = None
    once: bool = False


@dataclass(frozen=True)
class Settings:
    """How a driver runs.

    Attributes:
        max_rows: most rows of an epoch; None: adapted to what can be processed in ten seconds.
        keep_epochs: number of epochs whose seals and state are kept, so that one can go back to them.
        run_attempts: how often an epoch is planned and run before the job stops.
        publish_attempts: how often a sink, or the backup, is offered a sealed epoch before the job stops.
        max_dead_ratio: dead letters per row of a source from which an epoch is not sealed.
        accept_clock: whether a clock is accepted that contradicts the last epoch, or the times of files.
    """

    trigger: Trigger = field(default_factory=Trigger)
    max_rows: int | None = None
    num_shards: int = 4
    keep_epochs: int = 10
    run_attempts: int = 3
    publish_attempts: int = 10
    max_dead_ratio: float = 1.0
    accept_clock: bool = False
