"""`python -m pipelines.anomaly_detection`: fraud scores and anomalies of KPIs, from models that learn on the stream."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import TableSpec
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.matching import POINT_SCHEMA
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.entity import FeatureSet, parse_features, standard_features
from ecompulse.kernels.fraud.labels import ROLE as LABELS
from ecompulse.kernels.fraud.labels import as_labelled
from ecompulse.kernels.fraud.models.choice import Models, parse_models
from ecompulse.kernels.fraud.rules import Policy, parse_policy
from ecompulse.kernels.fraud.transactions import uses
from ecompulse.kernels.quality_totals import book_under
from ecompulse.kernels.rows import DAY_MS
from ecompulse.kernels.step import Kernel
from pipelines import realtime_metrics
from pipelines.config import read_config
from pipelines.flags import Flag, Options, count, duration
from pipelines.intake import Intake, Taken
from pipelines.launch import JobSpec
from pipelines.launch import main as launch
from pipelines.points import (
    KPI_FLAGS,
    KpiStreams,
    check_kpis,
    detector,
    further,
    waits,
    watched,
    with_ticks,
)
from pipelines.visitors import LAG, Visitors

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope
    from pipelines.realtime_metrics import RealtimeMetrics

FRAUD: Final = "fraud"
KPI: Final = "kpi"
IDENTIFIERS: Final = {"payment": "payment_id", "purchase": "order_id"}
"""What transactions, and their labels, go by first."""
_KINDS: Final = ("payment", "purchase")


def detectors(text: str) -> tuple[str, ...]:
    """`fraud`, `kpi`, or both with a comma."""
    found = tuple(part.strip() for part in text.split(","))
    if not set(found) <= {FRAUD, KPI} or len(set(found)) != len(found):
        raise ValueError(f"{text!r} is not fraud, kpi or fraud,kpi")
    return found


FLAGS: Final = (
    Flag("detect", FRAUD, "fraud, kpi, or both", default=(FRAUD, KPI), parse=detectors, shown="fraud,kpi"),
    Flag("transactions", FRAUD, "type of event that is a transaction", default="payment", choices=_KINDS),
    Flag("labels", FRAUD, "files, Delta table or kafka://host:port/topic of labels: transaction_id, label (0 or 1), "
         "label_time, source (chargeback or review)"),
    Flag(
        "label_horizon", FRAUD, "after which a transaction without label is legitimate", default=30 * DAY_MS,
        parse=duration, shown="30d",
    ),
    Flag(
        "label_wait", FRAUD, "from a label's time until it counts: as long as labels may take to be read",
        default=DAY_MS, parse=duration, shown="1d",
    ),
    Flag("learn_every", FRAUD, "event time between versions of the models", default=600_000, parse=duration,
         shown="10m"),
    Flag("refit_every", FRAUD, "event time between looks at whether trees are grown anew", default=DAY_MS,
         parse=duration, shown="1d"),
    Flag("features", FRAUD, "YAML file of the entities and what is computed of them", shown="the standard ones"),
    Flag("models", FRAUD, "YAML file of the models: which ones, and how they learn", shown="the standard ones"),
    Flag("policy", FRAUD, "YAML file of rules, and of lists of whom to allow and deny"),
    Flag("alerts_per_day", FRAUD, "flagged transactions per day of --timezone at the most", default=100, parse=count),
    *KPI_FLAGS,
    *realtime_metrics.FLAGS,
)  # fmt: skip


@dataclass(frozen=True)
class AnomalyDetection:
    """Job 4: transactions scored, the few to look at, and incidents of metrics.

    Attributes:
        visitors: events of visitors, with what either detector needs of them.
        fraud: None when it is not asked for.
        metrics: computes the metrics that are watched; None when KPIs are not asked for.
        anomalies: watches them.
        kpis: which of the metrics, and whether another job has computed them.
    """

    visitors: Visitors
    fraud: FraudDetection | None
    metrics: "RealtimeMetrics | None"
    anomalies: DetectAnomalies
    labelled: bool
    kpis: KpiStreams
    name: str = "anomaly_detection"

    @property
    def intake(self) -> Intake:
        """How events are taken in."""
        return self.visitors.intake

    @property
    def tables(self) -> Sequence[TableSpec]:
        """Outputs."""
        found = []
        if self.fraud:
            outputs = self.fraud.scores.outputs
            found.append(TableSpec("risk_scores", outputs["risk_scores"], "event_time"))
            found.append(
                TableSpec("flagged_transactions", outputs["flagged_transactions"], "event_time", warehouse=True)
            )
        if self.metrics or self.kpis.given:
            schema = self.anomalies.outputs["anomaly_alerts"]
            found.append(TableSpec("anomaly_alerts", schema, "window_end", warehouse=True, ids=("incident_id",)))
        if self.metrics:
            found.append(self.metrics.late)
        return (*found, *self.intake.tables)

    @property
    def operators(self) -> Sequence[Operator]:
        """Keyed operators; what labels and transactions are let out by is an epoch ahead of what follows."""
        found, lag = list(self.visitors.operators) if self._reads_events else [], LAG
        if self.fraud:
            found.append(Operator(self.fraud.labels))
            behind: tuple[Kernel, ...] = (*self.fraud.chain, self.fraud.examples)
            found += [Operator(kernel, LAG) for kernel in behind]
            found.append(Operator(self.fraud.scores, LAG, fixed=self.fraud.fixed))
        if self.metrics:
            found += self.metrics.aggregating
            lag = max(lag, found[-1].lag)
            found.append(Operator(self.anomalies, found[-1].lag, every=self.kpis.every(self.anomalies)))
        elif self.kpis.given:
            found.append(Operator(self.anomalies, every=self.kpis.every(self.anomalies)))
        return (*found, Operator(self.intake.quality, lag))

    @property
    def _reads_events(self) -> bool:
        return self.fraud is not None or self.metrics is not None

    def build(self, scope: "Scope") -> None:
        """Compose the pipeline."""
        from ecompulse.transforms.frames import map_frames

        given = self.intake.read_kpis(scope, self.kpis.watched) if self.kpis.given else None
        if given:
            points = given.events | "Points" >> map_frames(pl.DataFrame.select, POINT_SCHEMA.names())
            self._raised(scope, points, given.events)
        if given and not self._reads_events:
            self.intake.finish(scope, given)
            return
        taken = self.visitors.people(scope)
        taken.quality += given.quality if given else []
        identified = self.visitors.identify(scope, taken.events) if self.visitors.columns else None
        if self.fraud:
            labels = self.intake.read_labels(scope, IDENTIFIERS[self.fraud.kind]) if self.labelled else None
            taken.quality += labels.quality if labels else []
            found = self._scored(scope, identified, labels.events if labels else None)
            quality = self.intake.quality
            booked = found["quality"] | "Book labels" >> scope.under_clock(quality, book_under, quality.window_ms)
            taken.quality.append(booked)
        if self.metrics:
            self._watched(scope, taken, identified)
        self.intake.finish(scope, taken)

    def _scored(self, scope: "Scope", identified: Any, labels: Any) -> Any:
        from ecompulse.transforms.frames import map_frames
        from ecompulse.transforms.score import ScoreTransactions

        detection = self.fraud
        assert detection is not None  # noqa: S101  # the caller asked
        if labels is None:
            labels = identified | "No labels" >> map_frames(_no_labels)
        inputs = {"events": identified, "labels": labels}
        found = inputs | "ScoreTransactions" >> ScoreTransactions(detection, scope.state)
        for spec in self.tables:
            if spec.name in found:
                scope.write(spec, found[spec.name])
        scope.tell_models(found["models"])
        return found

    def _watched(self, scope: "Scope", taken: Taken, identified: Any) -> None:
        from ecompulse.kernels.anomalies.matching import read_points
        from ecompulse.transforms.aggregate import AggregateMetrics
        from ecompulse.transforms.frames import map_frames

        assert self.metrics is not None  # noqa: S101  # the caller asked
        streams = self.metrics.streams
        inputs = {"events": taken.events, **({"visitors": identified} if streams.of_visitors else {})}
        found = inputs | "AggregateMetrics" >> AggregateMetrics(streams, scope.state)
        self.metrics.write_late(scope, taken, found["quality"])
        points = found["metrics"] | "ReadPoints" >> map_frames(read_points, self.kpis.watched)
        self._raised(scope, points, taken.events)

    def _raised(self, scope: "Scope", points: Any, rows: Any) -> None:
        """Incidents of points; `rows` are what they come from."""
        from ecompulse.epochs.keyed import Keyed

        state = scope.state(self.anomalies)
        clocked = with_ticks(scope, points, rows, state.num_shards) if self.kpis.waits else points
        raised = clocked | "DetectAnomalies" >> Keyed(self.anomalies, state)
        [spec] = [table for table in self.tables if table.name == "anomaly_alerts"]
        scope.write(spec, raised["anomaly_alerts"])


def _no_labels(frame: pl.DataFrame) -> pl.DataFrame:
    return as_labelled(frame.clear())


def make(options: Options) -> AnomalyDetection:
    """The job that a user asked for; UserError names what does not fit."""
    metrics = realtime_metrics.make(options)
    intake = metrics.intake
    fraud = _fraud(options, intake) if FRAUD in options.detect else None
    if options.labels and fraud is None:
        raise UserError("--labels: is of no use without --detect=fraud")
    check_kpis(options, fraud=fraud is not None, kpi=KPI in options.detect)
    schema = intake.schema()
    wanted = dict(metrics.visitors.columns) if KPI in options.detect and not options.kpis else {}
    wanted |= uses(schema) if fraud else {}
    known = pl.Schema({**schema, "device": pl.String(), "country": pl.String(), "visitor": pl.String()})
    columns = pl.Schema({name: known[name] for name in known if name in wanted})
    visitors = Visitors(intake, options.bots, columns, metrics.visitors.dedup)
    kpis = KpiStreams(options.kpis is not None, watched(options, metrics), waits(options))
    watching = metrics if KPI in options.detect and not kpis.given else None
    return AnomalyDetection(visitors, fraud, watching, detector(options, watching), options.labels is not None, kpis)


def _fraud(options: Options, intake: Intake) -> FraudDetection:
    features, policy, models = standard_features(), Policy(), Models()
    flag = "--features"
    try:
        if options.features:
            features = read_config(flag, options.features, parse_features)
        features = FeatureSet(features.entities, options.timezone, features.night, features.surprising)
        flag = "--policy"
        if options.policy:
            policy, flag = read_config(flag, options.policy, parse_policy), f"{flag}: {options.policy}"
            policy.check(features)
        flag = "--models"
        if options.models:
            models = read_config(flag, options.models, parse_models)
        flag = "--label_horizon, --learn_every"
        return FraudDetection(
            features=features,
            kind=options.transactions,
            based=bool(intake.enrich.steps.currency.rates),
            horizon=options.label_horizon,
            wait=options.label_wait,
            every=max(options.learn_every, 1),
            refit=max(options.refit_every, 1),
            margin=options.watermark_delay,
            alerts_per_day=options.alerts_per_day,
            timezone=options.timezone,
            policy=policy,
            models=models,
        )
    except ConfigError as error:
        raise UserError(f"{flag}: {error}") from None


def label_streams(options: Options) -> list[tuple[str, str]]:
    """Role and URI of the labels and metrics that a user gave."""
    return [*([] if options.labels is None else [(LABELS, options.labels)]), *further(options)]


def advice(options: Options, totals: Mapping[str, int]) -> str:
    """What to try when rows came and no transaction was among them."""
    if FRAUD not in options.detect or not totals.get("input") or totals.get("risk_scores"):
        return ""
    other = _KINDS[1 - _KINDS.index(options.transactions)]
    return f"no {options.transactions} is out yet of {totals['input']:,} rows; --transactions={other} scores {other}s"


SPEC: Final = JobSpec(
    "anomaly_detection",
    "Fraud scores of transactions and anomalies of KPIs, from models that learn on the stream.",
    FLAGS,
    make,
    label_streams,
    lambda options: FRAUD in options.detect or options.kpis is None,
    advice,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
