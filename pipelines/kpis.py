"""KPIs as `anomaly_detection` watches them: computed of the events, or read as another job has written them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

import ecompulse as eco
from ecompulse.cli.flags import flag
from ecompulse.cli.values import lasting, names, positive
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.sinks import TableSpec
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.matching import POINT_SCHEMA, WATCHED, read_points
from ecompulse.kernels.anomalies.readings import ROLE
from ecompulse.kernels.anomalies.stopped import sign_of_life, tick
from pipelines.realtime_metrics import Metrics, MetricSettings, check_every

KPI: Final = "kpi"
_DEFAULTS: Final = DetectAnomalies()


@dataclass(frozen=True)
class KpiSettings(MetricSettings):
    """What is watched, and what an incident is."""

    kpis: str | None = flag(
        KPI,
        "metrics that realtime_metrics has written: Delta table, kafka://host:port/topic, or files",
        metavar="URI",
        shown="computed from --source",
    )
    kpi_metrics: tuple[str, ...] | None = flag(
        KPI,
        "names of the metrics that are watched, with commas between them",
        parse=names,
        metavar="NAMES",
        shown="those of a shop's health",
    )
    kpi_threshold: float = flag(
        KPI,
        "score from which a window is an incident, in orders of magnitude",
        _DEFAULTS.threshold,
        parse=positive,
        metavar="SCORE",
    )
    settle_after: int = flag(
        KPI,
        "how long an incident lasts before it is taken for a new regime",
        _DEFAULTS.settle_after,
        parse=lasting,
    )
    silence_after: int = flag(
        KPI,
        "time without a window after which a series is silent",
        _DEFAULTS.silence_after,
        parse=lasting,
    )

    @property
    def read(self) -> Sequence[tuple[str, str]]:
        """Role and URI of metrics that are read."""
        return [(ROLE, self.kpis)] if self.kpis else []

    def watched(self, metrics: Metrics) -> tuple[str, ...]:
        """Metrics to watch; UserError for one that is not computed."""
        if self.kpi_metrics is None:
            return WATCHED
        known = {bound.spec.name for bound in metrics.streams.plan.metrics}
        unknown = sorted(set(self.kpi_metrics) - known) if not self.kpis else []
        if unknown:
            raise UserError(f"--kpi_metrics: {unknown[0]}: is none of the metrics: {', '.join(sorted(known))}")
        return self.kpi_metrics

    def detector(self, metrics: Metrics | None) -> DetectAnomalies:
        """The detector; it waits as long as the slowest metric takes."""
        slowest = max((bound.spec.lag for bound in metrics.streams.plan.metrics), default=0) if metrics else 0
        return DetectAnomalies(
            threshold=self.kpi_threshold,
            settle_after=self.settle_after,
            silence_after=self.silence_after,
            arrival=max(_DEFAULTS.arrival, slowest),
        )


@dataclass(frozen=True)
class WatchKpis:
    """Incidents of metrics.

    Attributes:
        watched: names of metrics.
        waits: for more, so that a stop of the stream is noticed.
    """

    anomalies: DetectAnomalies
    watched: tuple[str, ...]
    waits: bool

    def of_metrics(self, scope: "eco.JobScope", metrics: Any, rows: Any) -> None:
        """Of metrics that this job computes from `rows`."""
        self._raise(scope, metrics | "ReadPoints" >> eco.map_frames(read_points, self.watched), rows)

    def of_input(self, scope: "eco.JobScope") -> None:
        """Of metrics that another job has computed."""
        given = scope.kpis(self.watched)
        points = given | "Points" >> eco.map_frames(pl.DataFrame.select, POINT_SCHEMA.names())
        self._raise(scope, points, given)

    def _raise(self, scope: "eco.JobScope", points: Any, rows: Any) -> None:
        """Alerts; `rows` are what the points come from."""
        clocked = self._with_ticks(scope, points, rows) if self.waits else points
        raised = clocked | eco.Keyed(self.anomalies, every=check_every(self.anomalies.silence_after))
        alerts = self.anomalies.outputs["anomaly_alerts"]
        spec = TableSpec(
            "anomaly_alerts", alerts, "window_end", warehouse=True, ids=("incident_id",), asked_by=("metric",)
        )
        scope.write(spec, raised["anomaly_alerts"])

    def _with_ticks(self, scope: "eco.JobScope", points: Any, rows: Any) -> Any:
        """Points, and what tells the detector on every shard whether the stream goes on."""
        came = eco.union("All that came", points, rows)
        life = came | "SignsOfLife" >> eco.map_frames(sign_of_life, scope.num_shards)
        ticks = scope.each_epoch("TickAnomalies", tick, scope.num_shards)
        return eco.union("ClockedPoints", points, life, ticks)
