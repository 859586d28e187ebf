"""KPIs as `anomaly_detection` takes them: which metrics are watched, and where they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from ecompulse.epochs.errors import UserError
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.matching import WATCHED
from ecompulse.kernels.anomalies.readings import ROLE
from ecompulse.kernels.anomalies.stopped import sign_of_life, tick
from pipelines.flags import Flag, Options, duration
from pipelines.places import trigger_of

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope
    from pipelines.realtime_metrics import RealtimeMetrics

_GROUP: Final = "kpi"
_DEFAULTS: Final = DetectAnomalies()
_CHECKS: Final = 10  # per silence: how much later it may be noticed that the stream has stopped
_SECOND: Final = 1_000
_MINUTE: Final = 60_000


def positive(text: str) -> float:
    """A number above zero."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not isfinite(found) or found <= 0:
        raise ValueError(f"{text!r} is no number above zero")
    return found


def lasting(text: str) -> int:
    """A duration above zero, ms."""
    found = duration(text)
    if found < 1:
        raise ValueError(f"{text!r} is no duration above zero")
    return found


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError(f"{text!r} is no list such as orders,page_views")
    return found


KPI_FLAGS: Final = (
    Flag("kpis", _GROUP, "metrics that realtime_metrics has written: Delta table, kafka://host:port/topic, or files",
         shown="computed from --source"),
    Flag("kpi_metrics", _GROUP, "names of the metrics that are watched", parse=names, shown="those of a shop's health"),
    Flag("kpi_threshold", _GROUP, "score from which a window is an incident, in orders of magnitude",
         default=_DEFAULTS.threshold, parse=positive),
    Flag("settle_after", _GROUP, "how long an incident lasts before it is taken for a new regime",
         default=_DEFAULTS.settle_after, parse=lasting, shown="3h"),
    Flag("silence_after", _GROUP, "time without a window after which a series is silent",
         default=_DEFAULTS.silence_after, parse=lasting, shown="30m"),
)  # fmt: skip


@dataclass(frozen=True)
class KpiStreams:
    """Where points come from.

    Attributes:
        given: read, and not computed.
        watched: names of metrics.
        waits: for more, so that a stop of the stream is noticed.
    """

    given: bool
    watched: tuple[str, ...]
    waits: bool = False

    def every(self, anomalies: DetectAnomalies) -> int:
        """Ms of processing time after which the detector wants an epoch in which nothing came."""
        return min(max(anomalies.silence_after // _CHECKS, _SECOND), _MINUTE)


def check_kpis(options: Options, *, fraud: bool, kpi: bool) -> None:
    """UserError for flags that do not go together."""
    if options.kpis and not kpi:
        raise UserError("--kpis: is of no use without --detect=kpi")
    if options.kpis and options.source and not fraud:
        raise UserError("--source: is of no use with --kpis and without --detect=fraud")
    if options.kpis and options.metrics:
        raise UserError("--metrics: is of no use with --kpis, which are computed already; see --kpi_metrics")


def watched(options: Options, metrics: "RealtimeMetrics") -> tuple[str, ...]:
    """Metrics to watch; UserError for one that is not computed."""
    if options.kpi_metrics is None:
        return WATCHED
    known = {bound.spec.name for bound in metrics.streams.plan.metrics}
    unknown = sorted(set(options.kpi_metrics) - known) if not options.kpis else []
    if unknown:
        raise UserError(f"--kpi_metrics: {unknown[0]}: is none of the metrics: {', '.join(sorted(known))}")
    return tuple(options.kpi_metrics)


def detector(options: Options, metrics: "RealtimeMetrics | None") -> DetectAnomalies:
    """The detector that a user asked for; it waits as long as the slowest metric takes."""
    slowest = max((bound.spec.lag for bound in metrics.streams.plan.metrics), default=0) if metrics else 0
    return DetectAnomalies(
        threshold=options.kpi_threshold,
        settle_after=options.settle_after,
        silence_after=options.silence_after,
        arrival=max(_DEFAULTS.arrival, slowest),
    )


def waits(options: Options) -> bool:
    """Whether the job waits for more instead of ending with what is there."""
    return isinstance(trigger_of(options), int) and not options.drain


def with_ticks(scope: "Scope", points: Any, rows: Any, num_shards: int) -> Any:
    """Points, and what tells a detector on every shard whether the stream goes on: each epoch's tick, signs of life."""
    import apache_beam as beam

    from ecompulse.transforms.frames import map_frames

    came = (points, rows) | "All that came" >> beam.Flatten()
    life = came | "SignsOfLife" >> map_frames(sign_of_life, num_shards)
    ticks = scope.each_epoch("TickAnomalies", tick, num_shards)
    return (points, life, ticks) | "ClockedPoints" >> beam.Flatten()


def further(options: Options) -> Sequence[tuple[str, str]]:
    """Role and URI of metrics that are read."""
    return [(ROLE, options.kpis)] if options.kpis else []
