"""`python -m pipelines.realtime_metrics`: KPIs in tumbling and sliding windows, and alerts on them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import TableSpec
from ecompulse.kernels.alerts.kernel import RaiseAlerts
from ecompulse.kernels.alerts.matching import read_metrics, tick
from ecompulse.kernels.alerts.rules import RuleSet, Watch, parse_rules, standard_rules
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import MetricSet, parse_metrics, standard_metrics
from ecompulse.kernels.metrics.derived import DATA_QUALITY, measured_metrics, quality_metric, quality_metrics
from ecompulse.kernels.metrics.plan import Plan
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA
from ecompulse.kernels.metrics.slices import late_rows
from ecompulse.kernels.metrics.streams import Streams, streams_of
from ecompulse.kernels.quality_totals import book_under, count_late
from ecompulse.kernels.step import Clock
from pipelines.common import BOTS, DEDUP, TIME
from pipelines.config import read_config
from pipelines.flags import Flag, Options, count, duration, whole
from pipelines.intake import Intake, deduplication, open_intake
from pipelines.launch import JobSpec
from pipelines.launch import main as launch
from pipelines.visitors import LAG, Visitors

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope
    from pipelines.intake import Taken

METRICS: Final = "metrics"
_SECOND: Final = 1_000
_MINUTE: Final = 60_000
_CHECKS: Final = 10  # per period of absence: how much later than the period it may be noticed

FLAGS: Final = (
    BOTS,
    *DEDUP,
    Flag("metrics", METRICS, "YAML file of the metrics", shown="the standard set"),
    Flag("rules", METRICS, "YAML file of the alert rules, or none", shown="the standard ones, without --metrics"),
    Flag(
        "allowed_lateness",
        TIME,
        "how long, after the watermark, a window that is out is still revised",
        default=600_000,
        parse=duration,
        shown="10m",
    ),
    Flag("max_series", METRICS, "series of a metric per day; the rest is __other__", default=10_000, parse=count),
    Flag("fill", METRICS, "windows without data that a series still shows after its last", default=10, parse=whole),
    Flag(
        "session_gap", METRICS, "silence that ends a visit (sessions_started)", default=1_800_000, parse=duration,
        shown="30m",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class RealtimeMetrics:
    """Job 3: metrics of events, of data quality and of the job itself, and alerts."""

    visitors: Visitors
    streams: Streams
    alerts: RaiseAlerts
    name: str = "realtime_metrics"

    @property
    def intake(self) -> Intake:
        """How events are taken in."""
        return self.visitors.intake

    @property
    def late(self) -> TableSpec:
        """Events that came too late."""
        schema = self.intake.schema()
        empty = pl.DataFrame(schema={"id": pl.String, "operator": pl.String, "late_by_ms": pl.Int64, **schema})
        return TableSpec("late_events", empty.schema, "event_time")

    @property
    def tables(self) -> Sequence[TableSpec]:
        """Outputs."""
        alerts = self.alerts.outputs["metric_alerts"]
        return (
            TableSpec("metrics", METRIC_SCHEMA, "window_start", warehouse=True, revised=True),
            TableSpec("metric_alerts", alerts, "since", warehouse=True, ids=("incident_id",)),
            self.late,
            *self.intake.tables,
        )

    @property
    def operators(self) -> Sequence[Operator]:
        """Keyed operators; one that is fed by another that holds rows is an epoch behind it."""
        found = self.aggregating
        lag = found[-1].lag
        return (*self.visitors.operators, *found, Operator(self.intake.quality, lag), self._alerting(lag))

    @property
    def aggregating(self) -> Sequence[Operator]:
        """Those between the events and the metrics; the last gives the metrics."""
        streams = self.streams
        held = {"events": 0, "visitors": LAG, "visits": LAG + 1, "settlements": LAG}
        lag = max((held[name] for name in streams.used), default=0)
        found = [Operator(streams.follow, LAG)] if streams.follow else []
        found += [Operator(streams.payments)] if streams.payments else []
        if streams.admit:
            admitting = Operator(streams.admit, max(held[name] for name in streams.bounded))
            lag = max(lag, admitting.lag + 1)
            found.append(admitting)
        return (*found, Operator(streams.combine, lag))

    def _alerting(self, lag: int) -> Operator:
        silences = [watch.rule.absent for watch in self.alerts.watches if watch.rule.absent]
        every = min(max(min(silences) // _CHECKS, _SECOND), _MINUTE) if silences else None
        return Operator(self.alerts, lag, every=every)

    def build(self, scope: "Scope") -> None:
        """Compose the pipeline."""
        import apache_beam as beam

        from ecompulse.epochs.keyed import Keyed
        from ecompulse.transforms.aggregate import AggregateMetrics
        from ecompulse.transforms.frames import map_frames

        taken = self.visitors.people(scope)
        inputs = {"events": taken.events}
        if self.streams.of_visitors:
            inputs["visitors"] = self.visitors.identify(scope, taken.events)
        found = inputs | "AggregateMetrics" >> AggregateMetrics(self.streams, scope.state)
        self.write_late(scope, taken, found["quality"])
        quality = self.intake.finish(scope, taken)
        window = self.intake.quality.window_ms
        metrics = (
            found["metrics"],
            quality | "QualityMetrics" >> map_frames(quality_metrics, window),
            scope.measured | "MeasuredMetrics" >> map_frames(measured_metrics),
        ) | "All metrics" >> beam.Flatten()
        watches = self.alerts.watches
        ticks = scope.each_epoch("Tick", _tick, watches)
        readings = (metrics | "ReadMetrics" >> map_frames(read_metrics, watches), ticks) | "Readings" >> beam.Flatten()
        raised = readings | "RaiseAlerts" >> Keyed(self.alerts, scope.state(self.alerts))
        table, alerts, *_ = self.tables
        scope.write(table, metrics)
        scope.write(alerts, raised["metric_alerts"])

    def write_late(self, scope: "Scope", taken: "Taken", folded: object) -> None:
        """Late events are written, and counted with what was folded, in quality windows that are still open."""
        from ecompulse.transforms.frames import map_frames

        quality = self.intake.quality
        named = taken.events | "Somebody" >> map_frames(_somebody)
        late = named | "Late" >> scope.under_clock(self.streams.combine, late_rows, self.streams.plan)
        scope.write(self.late, late | "LateEvents" >> map_frames(_columns, self.late.schema))
        counts = [late | "CountLate" >> map_frames(count_late, quality.window_ms)]
        for number, partial in enumerate([*counts, *([folded] if folded is not None else [])]):
            booked = partial | f"Book {number}" >> scope.under_clock(quality, book_under, quality.window_ms)
            taken.quality.append(booked)


def _tick(clock: Clock, watches: Sequence[Watch]) -> pl.DataFrame:
    return tick(watches, clock)


def _somebody(events: pl.DataFrame) -> pl.DataFrame:
    """Events with a visitor, for filters that name one: too late for identity to say who it was."""
    return events.with_columns(visitor=pl.coalesce("user_id", "anonymous_id"))


def _columns(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    return frame.select(schema.names())


def make(options: Options) -> RealtimeMetrics:
    """The job that a user asked for; UserError names what does not fit."""
    intake = open_intake(options)
    metrics = read_config("--metrics", options.metrics, parse_metrics) if options.metrics else standard_metrics()
    schema = pl.Schema({**intake.schema(), "device": pl.String(), "visitor": pl.String()})
    currency = intake.enrich.steps.currency
    try:
        plan = bind(
            metrics,
            schema,
            base_currency=currency.base if currency.rates else None,
            timezone=options.timezone,
            lateness=options.allowed_lateness,
            fill=options.fill,
            skip=not options.metrics,
        )
        streams = streams_of(plan, schema, session_gap=options.session_gap, max_series=options.max_series)
    except ConfigError as error:
        raise UserError(f"--metrics: {error}") from None
    wanted = pl.Schema({name: schema[name] for name in schema if name in streams.of_visitors})
    alerts = RaiseAlerts(_watches(options, metrics, plan), options.timezone)
    return RealtimeMetrics(Visitors(intake, options.bots, wanted, deduplication(options)), streams, alerts)


def _watches(options: Options, metrics: MetricSet, plan: Plan) -> tuple[Watch, ...]:
    rules = RuleSet() if options.metrics else standard_rules()
    if options.rules:
        rules = RuleSet() if options.rules == "none" else read_config("--rules", options.rules, parse_rules)
    known = MetricSet({DATA_QUALITY: quality_metric(options.quality_window), **metrics.metrics})
    try:
        return rules.bind(known, skip=frozenset(plan.skipped))
    except ConfigError as error:
        raise UserError(f"--rules: {error}") from None


SPEC: Final = JobSpec(
    "realtime_metrics", "KPIs of a shop in tumbling and sliding windows, and alerts on them.", FLAGS, make
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
