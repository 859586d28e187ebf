"""Event time, the clock, and how epochs are cut."""

from dataclasses import dataclass
from typing import Literal

from ecompulse.cli.flags import flag, switch
from ecompulse.cli.settings.groups import EPOCHS, TIME
from ecompulse.cli.values import (
    count,
    duration,
    trigger,
    zone,
)


@dataclass(frozen=True)
class Time:
    """Event time and the clock."""

    watermark_delay: int = flag(TIME, "how far events of a partition may be out of order", 600_000, parse=duration)
    idle_after: int = flag(
        TIME,
        "silence after which a source that was read to its end stops holding the watermark",
        60_000,
        parse=duration,
    )
    idle_advance: bool = switch(TIME, "move the watermark with the clock once all sources are idle")
    accept_clock: bool = switch(
        TIME, "believe the machine's clock though the last epoch, or a file's time, contradicts it"
    )
    timezone: str = flag(TIME, "IANA zone of days, weeks and the same time yesterday", "UTC", parse=zone)
    quality_window: int = flag(
        TIME, "window of data_quality; fixed for the life of a checkpoint", 3_600_000, parse=duration
    )


@dataclass(frozen=True)
class Epochs:
    """How epochs are cut, and how often what fails is tried again."""

    trigger: Literal["available-now", "once"] | int | None = flag(
        EPOCHS,
        "available-now (all there is, then end), once (one epoch), or a duration between epochs",
        parse=trigger,
        metavar="TRIGGER",
        shown="available-now for files, 10s for Kafka",
    )
    drain: bool = switch(EPOCHS, "when the input ends, close every window and session")
    max_records_per_epoch: int | None = flag(
        EPOCHS, "rows of one epoch at the most", parse=count, metavar="ROWS", shown="adaptive"
    )
    num_shards: int | None = flag(
        EPOCHS,
        "shards of keyed state, fixed for the life of a checkpoint",
        parse=count,
        metavar="SHARDS",
        shown="the checkpoint's; of a new one, the number of cores",
    )
    keep_epochs: int = flag(EPOCHS, "committed epochs that can be gone back to", 10, parse=count, metavar="EPOCHS")
    epoch_attempts: int = flag(
        EPOCHS, "times that an epoch is planned and run before the job stops", 3, parse=count, metavar="TIMES"
    )
    publish_attempts: int = flag(
        EPOCHS,
        "times that a sealed epoch is offered to a sink or the backup, with growing pauses, before the job stops",
        10,
        parse=count,
        metavar="TIMES",
    )
