"""`python -m pipelines.realtime_metrics`: KPIs in tumbling and sliding windows, and alerts on them."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

import ecompulse as eco
from ecompulse.cli.config import read_config
from ecompulse.cli.flags import flag
from ecompulse.cli.job import JobSpec
from ecompulse.cli.launch import main as launch
from ecompulse.cli.settings import TIME, JobSettings, Settings, VisitorSettings
from ecompulse.cli.values import count, duration, whole
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.sinks import TableSpec
from ecompulse.intake import Intake
from ecompulse.kernels.alerts.kernel import RaiseAlerts
from ecompulse.kernels.alerts.matching import read_metrics, tick
from ecompulse.kernels.alerts.rules import RuleSet, Watch, parse_rules, standard_rules
from ecompulse.kernels.bots import Bots
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.currency import CurrencyStep
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import MAX_FILL, MetricSet, parse_metrics, standard_metrics
from ecompulse.kernels.metrics.derived import DATA_QUALITY, measured_metrics, quality_metric, quality_metrics
from ecompulse.kernels.metrics.plan import Plan
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA
from ecompulse.kernels.metrics.slices import late_rows
from ecompulse.kernels.metrics.streams import Streams, streams_of
from ecompulse.kernels.rows import conform
from ecompulse.kernels.step import Clock

METRICS: Final = "metrics"
_SECOND: Final = 1_000
_MINUTE: Final = 60_000
_CHECKS: Final = 10  # per silence: how much later than it may it be noticed


def _fill(text: str) -> int:
    """Of `--fill`."""
    found = whole(text)
    if found > MAX_FILL:
        raise ValueError(f"must be at most {MAX_FILL}, not {found}")
    return found


@dataclass(frozen=True)
class MetricSettings(VisitorSettings):
    """Which metrics, and for how long their windows are revised."""

    metrics: str | None = flag(METRICS, "YAML file of the metrics", metavar="FILE", shown="the standard set")
    rules: str | None = flag(
        METRICS,
        "YAML file of the alert rules, or none",
        metavar="FILE",
        shown="the standard ones, without --metrics",
    )
    allowed_lateness: int = flag(
        TIME,
        "how long, after the watermark, a window that is out is still revised",
        600_000,
        parse=duration,
    )
    max_series: int = flag(
        METRICS, "series of a metric per day; the rest is __other__", 10_000, parse=count, metavar="SERIES"
    )
    fill: int = flag(
        METRICS, "windows without data that a series still shows after its last", 10, parse=_fill, metavar="WINDOWS"
    )
    session_gap: int = flag(METRICS, "silence that ends a visit (sessions_started)", 1_800_000, parse=duration)


@dataclass(frozen=True)
class Metrics:
    """Metrics of events, and what is too late for them; two jobs compute them.

    Attributes:
        visitors: columns that events of known visitors must carry.
        schema: columns of `late_events`.
    """

    streams: Streams
    visitors: pl.Schema
    schema: pl.Schema

    @property
    def reads(self) -> Collection[str]:
        """Columns of an event: the event itself, which may be late, and what metrics name."""
        return {*FRAME_SCHEMA, *self.streams.plan.columns, *self.visitors}

    def compute(self, scope: "eco.JobScope", people: Any, visitors: Any) -> Any:
        """Rows of METRIC_SCHEMA, of enriched events and of those with their visitor (None if there are none)."""
        inputs = {"events": people, **({"visitors": visitors} if self.streams.of_visitors else {})}
        found = inputs | eco.AggregateMetrics(self.streams)
        combine = self.streams.combine
        named = people | "Somebody" >> eco.map_frames(_somebody)
        late = named | "Late" >> scope.under_clock(combine, late_rows, self.streams.plan)
        scope.late(combine.name, late | "LateEvents" >> eco.map_frames(conform, self.schema), self.schema)
        if found["quality"] is not None:
            scope.booked("folded", found["quality"])
        return found["metrics"]


@dataclass(frozen=True)
class RealtimeMetrics:
    """Job 3: metrics of events, of data quality and of the job itself, and alerts."""

    metrics: Metrics
    alerts: RaiseAlerts
    bots: Bots
    dedup: Deduplicate | None

    @property
    def alert_rules(self) -> Mapping[str, Collection[str]]:
        """Names of the rules, by the table of their alerts."""
        return {"metric_alerts": [watch.name for watch in self.alerts.watches]}

    def build(self, scope: "eco.JobScope") -> None:
        """Compose the pipeline."""
        people = scope.people(self.bots, self.dedup, self.metrics.reads)
        visitors = scope.identify(people, self.metrics.visitors) if self.metrics.streams.of_visitors else None
        computed = self.metrics.compute(scope, people, visitors)
        window = scope.intake.quality.window_ms
        metrics = eco.union(
            "All metrics",
            computed,
            scope.quality | "QualityMetrics" >> eco.map_frames(quality_metrics, window),
            scope.measured | "MeasuredMetrics" >> eco.map_frames(measured_metrics),
        )
        watches = self.alerts.watches
        read = metrics | "ReadMetrics" >> eco.map_frames(read_metrics, watches)
        readings = eco.union("Readings", read, scope.each_epoch("Tick", _tick, watches))
        raised = readings | eco.Keyed(self.alerts, every=self._every)
        scope.write(_METRICS, metrics)
        alerts = TableSpec(
            "metric_alerts", self.alerts.outputs["metric_alerts"], "since", warehouse=True, ids=_IDS, asked_by=("rule",)
        )
        scope.write(alerts, raised["metric_alerts"])

    @property
    def _every(self) -> int | None:
        silences = [watch.rule.absent for watch in self.alerts.watches if watch.rule.absent]
        return check_every(min(silences)) if silences else None


def check_every(silence: int) -> int:
    """Ms of processing time between looks at whether something has been silent for `silence` ms."""
    return min(max(silence // _CHECKS, _SECOND), _MINUTE)


_IDS: Final = ("incident_id",)
_METRICS: Final = TableSpec(
    "metrics", METRIC_SCHEMA, "window_start", warehouse=True, revised=True, asked_by=("metric", "window_size")
)


def _tick(clock: Clock, watches: Sequence[Watch]) -> pl.DataFrame:
    return tick(watches, clock)


def _somebody(events: pl.DataFrame) -> pl.DataFrame:
    """Events with a visitor, for filters that name one: too late for identity to say who it was."""
    return events.with_columns(visitor=pl.coalesce("user_id", "anonymous_id"))


def make(settings: Settings[MetricSettings], intake: Intake) -> RealtimeMetrics:
    """The job that a user asked for; UserError names what does not fit."""
    own = settings.own
    defined = defined_metrics(own)
    metrics = make_metrics(own, settings, intake, defined)
    alerts = RaiseAlerts(_watches(settings, defined, metrics.streams.plan), settings.time.timezone)
    return RealtimeMetrics(metrics, alerts, own.bots, own.deduplication(settings.time, intake.mapping))


def defined_metrics(own: MetricSettings) -> MetricSet:
    """The metrics that are asked for."""
    return read_config("--metrics", own.metrics, parse_metrics) if own.metrics else standard_metrics()


def make_metrics(own: MetricSettings, settings: Settings[JobSettings], intake: Intake, defined: MetricSet) -> Metrics:
    """Metrics bound to the columns that there are; UserError names what does not fit."""
    schema = pl.Schema({**intake.schema(), "device": pl.String(), "visitor": pl.String()})
    currency = intake.enrich.step(CurrencyStep)
    try:
        plan = bind(
            defined,
            schema,
            base_currency=currency.base if currency.rates else None,
            timezone=settings.time.timezone,
            lateness=own.allowed_lateness,
            fill=own.fill,
            skip=not own.metrics,
        )
        streams = streams_of(plan, schema, session_gap=own.session_gap, max_series=own.max_series)
    except ConfigError as error:
        raise UserError(f"--metrics: {error}") from None
    wanted = pl.Schema({name: schema[name] for name in schema if name in streams.of_visitors})
    late = {"id": pl.String(), "operator": pl.String(), "late_by_ms": pl.Int64(), **intake.schema()}
    return Metrics(streams, wanted, pl.Schema(late))


def _watches(settings: Settings[MetricSettings], metrics: MetricSet, plan: Plan) -> tuple[Watch, ...]:
    own = settings.own
    rules = RuleSet() if own.metrics else standard_rules()
    if own.rules:
        rules = RuleSet() if own.rules == "none" else read_config("--rules", own.rules, parse_rules)
    known = MetricSet({DATA_QUALITY: quality_metric(settings.time.quality_window), **metrics.metrics})
    try:
        return rules.bind(known, skip=frozenset(plan.skipped))
    except ConfigError as error:
        raise UserError(f"--rules: {error}") from None


SPEC: Final = JobSpec(
    "realtime_metrics",
    "KPIs of a shop in tumbling and sliding windows, and alerts on them.",
    MetricSettings,
    make,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
