"""Settings of a job: what the flags say, sorted by who needs it. Parsed once, frozen, handed on in parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ecompulse.cli.flags import Flag, flag, flags_of, parse, switch
from ecompulse.cli.settings.epochs import Epochs, Time
from ecompulse.cli.settings.groups import ALERTS, EPOCHS, INPUT, JOINS, OUTPUT, RUN, SPARK, TIME
from ecompulse.cli.settings.inputs import Inputs, Kafka, Lookups
from ecompulse.cli.settings.outputs import Alerting, Outputs, Places
from ecompulse.cli.settings.running import Running, Spark
from ecompulse.cli.values import absolute, duration
from ecompulse.epochs.errors import UserError
from ecompulse.kernels.bots import Bots
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.joins import STAGED
from ecompulse.kernels.mapping import Mapping as EventMapping

__all__ = [
    "ALERTS", "EPOCHS", "INPUT", "JOINS", "OUTPUT", "RUN", "SPARK", "TIME", "Alerting", "DedupSettings", "Epochs",
    "Inputs", "JobSettings", "Kafka", "Lookups", "Outputs", "Places", "Running", "Settings", "Spark", "Time",
    "VisitorSettings", "absolute", "all_flags", "read_settings",
]  # fmt: skip

LIVE_TRIGGER: Final = 10_000
"""Ms between epochs of a job that reads from Kafka."""


@dataclass(frozen=True)
class JobSettings:
    """Settings of a job's own; each job has a subclass, if it has any."""

    @property
    def further(self) -> Sequence[tuple[str, str]]:
        """Role and URI of what is read beside events."""
        return ()

    @property
    def needs_events(self) -> bool:
        """Whether `--source` is required."""
        return True

    def advice(self, totals: Mapping[str, int]) -> str:
        """A line for whoever ran it, from the rows read (`input`) and written by table; empty for none."""
        del totals
        return ""


@dataclass(frozen=True)
class DedupSettings(JobSettings):
    """Of jobs that can pass the first copy of each event only."""

    dedup: bool = switch(JOINS, "pass only the first copy of each event_id")
    dedup_horizon: int | None = flag(
        JOINS, "event time over which copies are recognised", parse=duration, shown="--watermark_delay"
    )

    def deduplicates(self, mapping: EventMapping | None) -> bool:  # noqa: ARG002  # the jobs on visitors ask it
        """Whether only first copies pass."""
        return self.dedup

    def deduplication(self, time: Time, mapping: EventMapping | None) -> Deduplicate | None:
        """What passes only the first copies, where that is wanted."""
        if not self.deduplicates(mapping):
            return None
        horizon = time.watermark_delay if self.dedup_horizon is None else self.dedup_horizon
        return Deduplicate(horizon, time.quality_window, STAGED)


@dataclass(frozen=True)
class VisitorSettings(DedupSettings):
    """Of jobs that look at people: a copy of an event must not count twice there."""

    keep_duplicates: bool = switch(
        JOINS, "pass every copy of an event_id; without it only the first, unless the mapping hashes ids"
    )
    bots: Bots = flag(  # noqa: RUF009  # a field: see flag
        INPUT,
        "exclude, include, or segment (kept, with device `bot`); counted in data_quality either way",
        "exclude",
        choices=("exclude", "include", "segment"),
    )

    def deduplicates(self, mapping: EventMapping | None) -> bool:
        """On by default where rows have ids of their own; where ids are hashes, equal rows may be different events.

        Raises:
            UserError: both flags are given.
        """
        if self.dedup and self.keep_duplicates:
            raise UserError("--keep_duplicates: is the opposite of --dedup")
        hashed = mapping is not None and mapping.event_id == "hash"
        return self.dedup or not (self.keep_duplicates or hashed)


Own_co = TypeVar("Own_co", bound=JobSettings, covariant=True)
Kind = TypeVar("Kind", bound=JobSettings)


@dataclass(frozen=True)
class Settings(Generic[Own_co]):
    """All settings of a job; whoever needs one part is given that part.

    Attributes:
        own: those that no other job has.
        beam: flags for Beam.
    """

    inputs: Inputs
    lookups: Lookups
    kafka: Kafka
    places: Places
    outputs: Outputs
    time: Time
    epochs: Epochs
    alerts: Alerting
    running: Running
    spark: Spark
    own: Own_co
    beam: tuple[str, ...] = ()

    @property
    def trigger(self) -> str | int:
        """`available-now`, `once`, or ms between epochs; without the flag, by the kind of the sources."""
        from ecompulse.io.sources import is_live  # here, since --help needs none of what it brings

        uris = [*self.inputs.source, *(uri for _, uri in self.own.further)]
        live = any(is_live(uri) for uri in uris)
        given = self.epochs.trigger
        return given if given is not None else LIVE_TRIGGER if live else "available-now"

    @property
    def endless(self) -> bool:
        """Whether the job waits for more once it has read what there is."""
        return isinstance(self.trigger, int)


PARTS: Final = {
    "running": Running,
    "inputs": Inputs,
    "lookups": Lookups,
    "kafka": Kafka,
    "places": Places,
    "outputs": Outputs,
    "alerts": Alerting,
    "time": Time,
    "epochs": Epochs,
    "spark": Spark,
}
"""What every job has."""


def all_flags(own: type[JobSettings]) -> list[Flag]:
    """The flags of a job."""
    return flags_of(*PARTS.values(), own)


def read_settings(program: str, summary: str, own: type[Kind], argv: Sequence[str]) -> Settings[Kind]:
    """Settings from a command line; UserError, one line with the flag's name, for what cannot be."""
    given = parse(program, summary, all_flags(own), argv)
    parts = {name: given.fill(kind) for name, kind in PARTS.items()}
    return Settings(**parts, own=given.fill(own), beam=given.beam)
