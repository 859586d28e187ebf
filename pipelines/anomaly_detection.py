"""`python -m pipelines.anomaly_detection`: fraud scores and anomalies of KPIs, from models that learn on the stream."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

import ecompulse as eco
from ecompulse.cli.config import read_config
from ecompulse.cli.flags import flag
from ecompulse.cli.job import JobSpec
from ecompulse.cli.launch import main as launch
from ecompulse.cli.settings import Settings
from ecompulse.cli.values import count, duration
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.sinks import TableSpec
from ecompulse.intake import Intake
from ecompulse.kernels.bots import Bots
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.currency import CurrencyStep
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.entity import FeatureSet, parse_features, standard_features
from ecompulse.kernels.fraud.labels import ROLE as LABELS
from ecompulse.kernels.fraud.models.registry import Models, parse_models
from ecompulse.kernels.fraud.quality import PART as MODELS
from ecompulse.kernels.fraud.rules import Policy, parse_policy
from ecompulse.kernels.fraud.transactions import uses
from ecompulse.kernels.rows import DAY_MS
from pipelines.kpis import KPI, KpiSettings, WatchKpis
from pipelines.realtime_metrics import Metrics, defined_metrics, make_metrics

FRAUD: Final = "fraud"
IDENTIFIERS: Final = {"payment": "payment_id", "purchase": "order_id"}
"""What transactions, and their labels, go by first."""
_KINDS: Final = ("payment", "purchase")


def detectors(text: str) -> tuple[str, ...]:
    """`fraud`, `kpi`, or both with a comma."""
    found = tuple(part.strip() for part in text.split(","))
    if not set(found) <= {FRAUD, KPI} or len(set(found)) != len(found):
        raise ValueError(f"{text!r} is not fraud, kpi or fraud,kpi")
    return found


@dataclass(frozen=True)
class AnomalySettings(KpiSettings):
    """What is detected, what a transaction is, and how models learn."""

    detect: tuple[str, ...] = flag(
        FRAUD, "fraud, kpi, or both", (FRAUD, KPI), parse=detectors, metavar="DETECTORS", shown="fraud,kpi"
    )
    transactions: Literal["payment", "purchase"] = flag(
        FRAUD, "type of event that is a transaction", "payment", choices=_KINDS
    )
    labels: str | None = flag(
        FRAUD,
        "files, Delta table or kafka://host:port/topic of labels: transaction_id, label (0 or 1), label_time, source "
        "(chargeback or review)",
        metavar="URI",
    )
    label_horizon: int = flag(
        FRAUD, "after which a transaction without label is legitimate", 30 * DAY_MS, parse=duration
    )
    label_wait: int = flag(
        FRAUD,
        "from a label's time until it counts: as long as labels may take to be read",
        DAY_MS,
        parse=duration,
    )
    learn_every: int = flag(FRAUD, "event time between versions of the models", 600_000, parse=duration)
    refit_every: int = flag(FRAUD, "event time between looks at whether trees are grown anew", DAY_MS, parse=duration)
    features: str | None = flag(
        FRAUD,
        "YAML file of the entities and what is computed of them",
        metavar="FILE",
        shown="the standard ones",
    )
    models: str | None = flag(
        FRAUD, "YAML file of the models: which ones, and how they learn", metavar="FILE", shown="the standard ones"
    )
    policy: str | None = flag(FRAUD, "YAML file of rules, and of lists of whom to allow and deny", metavar="FILE")
    alerts_per_day: int = flag(
        FRAUD, "flagged transactions per day of --timezone at the most", 100, parse=count, metavar="ALERTS"
    )

    @property
    def further(self) -> Sequence[tuple[str, str]]:
        """Labels, and metrics that are read."""
        return [*([] if self.labels is None else [(LABELS, self.labels)]), *self.read]

    @property
    def needs_events(self) -> bool:
        """Unless only metrics are read."""
        return FRAUD in self.detect or self.kpis is None

    def advice(self, totals: Mapping[str, int]) -> str:
        """What to try when rows came and no transaction was among them."""
        if FRAUD not in self.detect or not totals.get("input") or totals.get("risk_scores"):
            return ""
        other = _KINDS[1 - _KINDS.index(self.transactions)]
        rows = f"{totals['input']:,} rows"
        return f"no {self.transactions} is out yet of {rows}; --transactions={other} scores {other}s"

    def check(self, source: Sequence[str]) -> None:
        """UserError for flags that do not go together."""
        fraud, kpi = FRAUD in self.detect, KPI in self.detect
        if self.labels and not fraud:
            raise UserError("--labels: is of no use without --detect=fraud")
        if self.kpis and not kpi:
            raise UserError("--kpis: is of no use without --detect=kpi")
        if self.kpis and source and not fraud:
            raise UserError("--source: is of no use with --kpis and without --detect=fraud")
        if self.kpis and self.metrics:
            raise UserError("--metrics: is of no use with --kpis, which are computed already; see --kpi_metrics")


@dataclass(frozen=True)
class AnomalyDetection:
    """Job 4: transactions scored, the few to look at, and incidents of metrics.

    Attributes:
        columns: what either detector needs of an event of a known visitor.
        fraud: None when it is not asked for.
        metrics: computes the metrics that are watched; None when they are read, or not asked for.
        kpis: watches metrics; None when they are not asked for.
        labelled: whether labels are read.
    """

    columns: pl.Schema
    fraud: FraudDetection | None
    metrics: Metrics | None
    kpis: WatchKpis | None
    labelled: bool
    bots: Bots
    dedup: Deduplicate | None

    @property
    def alert_rules(self) -> Mapping[str, Collection[str]]:
        """Names of the rules, by the table of their alerts; those of anomalies are the same for everybody."""
        return {"anomaly_alerts": (), "flagged_transactions": self.fraud.policy.rules if self.fraud else ()}

    def build(self, scope: "eco.JobScope") -> None:
        """Compose the pipeline."""
        if self.kpis and not self.metrics:
            self.kpis.of_input(scope)
        if not self.fraud and not self.metrics:
            return
        people = scope.people(self.bots, self.dedup, {*self.columns, *(self.metrics.reads if self.metrics else ())})
        visitors = scope.identify(people, self.columns) if self.columns else None
        if self.fraud:
            self._score(scope, self.fraud, visitors)
        if self.metrics and self.kpis:
            self.kpis.of_metrics(scope, self.metrics.compute(scope, people, visitors), people)

    def _score(self, scope: "eco.JobScope", detection: FraudDetection, visitors: Any) -> None:
        labels = {"labels": scope.labels(IDENTIFIERS[detection.kind])} if self.labelled else {}
        found = {"events": visitors, **labels} | eco.ScoreTransactions(detection)
        outputs = detection.scores.outputs
        scope.write(TableSpec("risk_scores", outputs["risk_scores"], "event_time"), found["risk_scores"])
        flagged = TableSpec("flagged_transactions", outputs["flagged_transactions"], "event_time", warehouse=True)
        scope.write(flagged, found["flagged_transactions"])
        scope.tell(MODELS, found["models"])
        scope.booked("labels", found["quality"])


def make(settings: Settings[AnomalySettings], intake: Intake) -> AnomalyDetection:
    """The job that a user asked for; UserError names what does not fit."""
    own = settings.own
    own.check(settings.inputs.source)
    metrics = make_metrics(own, settings, intake, defined_metrics(own))
    fraud = _fraud(settings, intake) if FRAUD in own.detect else None
    computed = metrics if KPI in own.detect and not own.kpis else None
    kpis = None
    if KPI in own.detect:
        waits = settings.endless and not settings.epochs.drain
        kpis = WatchKpis(own.detector(computed), own.watched(metrics), waits)
    schema = intake.schema()
    wanted = {*(computed.visitors if computed else ()), *(uses(schema) if fraud else ())}
    known = pl.Schema({**schema, "device": pl.String(), "country": pl.String(), "visitor": pl.String()})
    columns = pl.Schema({name: known[name] for name in known if name in wanted})
    dedup, labelled = own.deduplication(settings.time, intake.mapping), own.labels is not None
    return AnomalyDetection(columns, fraud, computed, kpis, labelled, own.bots, dedup)


def _fraud(settings: Settings[AnomalySettings], intake: Intake) -> FraudDetection:
    own, timezone, currency = settings.own, settings.time.timezone, intake.enrich.step(CurrencyStep)
    features, policy, models = standard_features(), Policy(), Models()
    named = "--features"
    try:
        if own.features:
            features = read_config(named, own.features, parse_features)
        features = FeatureSet(features.entities, timezone, features.night, features.surprising)
        named = "--policy"
        if own.policy:
            policy, named = read_config(named, own.policy, parse_policy), f"{named}: {own.policy}"
            policy.check(features)
        named = "--models"
        if own.models:
            models = read_config(named, own.models, parse_models)
        named = "--label_horizon, --learn_every"
        return FraudDetection(
            features=features,
            kind=own.transactions,
            based=bool(currency.rates),
            base=currency.base,
            horizon=own.label_horizon,
            wait=own.label_wait,
            every=max(own.learn_every, 1),
            refit=max(own.refit_every, 1),
            margin=settings.time.watermark_delay,
            alerts_per_day=own.alerts_per_day,
            timezone=timezone,
            policy=policy,
            models=models,
        )
    except ConfigError as error:
        raise UserError(f"{named}: {error}") from None


SPEC: Final = JobSpec(
    "anomaly_detection",
    "Fraud scores of transactions and anomalies of KPIs, from models that learn on the stream.",
    AnomalySettings,
    make,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit status."""
    return launch(SPEC, argv)


if __name__ == "__main__":
    sys.exit(main())
