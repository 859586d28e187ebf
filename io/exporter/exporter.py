"""Metrics of a driver for Prometheus: progress, data quality, KPIs, alerts and models.

A driver shows what it has seen itself: after a restart counters begin at 0, as Prometheus expects of a process.
"""

import io
import platform
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import polars as pl
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from ecompulse.epochs.protocols import Store
from ecompulse.epochs.seal import Seal
from ecompulse.io.exporter.catalogue import JOB, METRICS, PREFIX
from ecompulse.io.exporter.disks import Disks, Spaces
from ecompulse.io.exporter.findings import Findings
from ecompulse.io.exporter.incidents import OpenIncidents
from ecompulse.io.exporter.kpis import Kpis
from ecompulse.io.lookups.usage import STATES
from ecompulse.kernels.fraud.budget import DECISIONS

DURATIONS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)


class Exporter:
    """Shows the progress and the tables of each committed epoch to whoever scrapes.

    Label values come from flags, table, rule and operator names; those that come from data (dimensions of KPIs) are
    bounded per metric, and gone with their window (`Kpis`).
    """

    def __init__(
        self, job: str, outputs: Store, tables: Collection[str] = (), checkpoint: str = "", spaces: Spaces = dict
    ) -> None:
        """What is shown, and of what.

        Args:
            job: name of the job.
            outputs: store below which output files are.
            tables: names of those that the job writes.
            checkpoint: place of it, which stays the same when another process goes on.
            spaces: says what is free on the disks that the job writes to.
        """
        self.registry = CollectorRegistry()
        self._job = job
        self._checkpoint = checkpoint
        self._outputs = outputs
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._told: dict[tuple[str, ...], float] = {}
        name = "epoch_duration_seconds"
        self._durations = Histogram(
            f"{PREFIX}{name}", METRICS[name].help, [JOB], buckets=DURATIONS, registry=self.registry
        )
        self._kpis = Kpis(job)
        self.registry.register(self._kpis)
        self._disks = Disks(job, spaces)
        self.registry.register(self._disks)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        for table in tables:
            self._add("output_rows_total", 0, table=table)  # else the first dead letters are no increase
        for decision in DECISIONS if "risk_scores" in tables else ():
            self._add("transactions_total", 0, decision=decision)
        self._incidents = OpenIncidents(lambda count, labels: self._set("open_incidents", count, **labels))
        self._findings = Findings()
        self._set("build_info", 1, version=version("ecompulse"), python=platform.python_version())
        self._readers: Mapping[str, Callable[[pl.DataFrame], None]] = {
            "metrics": self._kpis.take,
            "data_quality": self._quality,
            "metric_alerts": self._metric_alerts,
            "anomaly_alerts": self._anomaly_alerts,
            "risk_scores": partial(self._rows, "transactions_total", ("decision",)),
        }

    def progress(self, told: Mapping[str, Any]) -> None:
        """Take the progress of an epoch."""
        self._set("epoch", told["batchId"])
        self._add("epochs_total", 1)
        self._add("input_rows_total", told["numInputRows"])
        self._set("backlog_rows", told["backlog"])
        self._durations.labels(self._job).observe(told["durationMs"]["total"] / 1000)
        self._phases(told["durationMs"])
        for table, rows in told["sink"]["tables"].items():
            self._add("output_rows_total", rows, table=table)
        for operator in told["stateOperators"]:
            name = operator["operatorName"]
            self._set("state_rows", operator["numRowsTotal"], operator=name)
            self._set("state_bytes", operator["stateBytes"], operator=name)
        for kind, times in told.get("retries", {}).items():
            self._add("retries_total", times, kind=kind)
        self._lookups(told.get("lookups", {}))
        for name, value in (told.get("models") or {}).items():
            self._set("model", value, fact=name)
        self._moments(told)
        self._latency(told.get("measured") or {})
        self._alerts(told.get("alerts") or {})

    def _phases(self, spent: Mapping[str, int]) -> None:
        """Of this epoch only; their sum is told by the histogram."""
        if (known := self._gauges.get("phase_duration_seconds")) is not None:
            known.clear()
        for phase, ms in spent.items():
            if phase != "total":
                self._set("phase_duration_seconds", ms / 1000, phase=phase)

    def failing(self, attempts: int) -> None:
        """Take how many attempts have failed in a row."""
        self._set("failed_attempts", attempts, checkpoint=self._checkpoint)

    def committed(self, seal: Seal) -> None:
        """Take the rows of a committed epoch, of each table at once, so that a scrape sees no half of them."""
        for table, read in self._readers.items():
            files = [io.BytesIO(self._outputs.get(file["path"])) for file in seal.files.get(table, [])]
            if files:
                read(pl.concat(pl.read_parquet(file) for file in files))

    def _moments(self, told: Mapping[str, Any]) -> None:
        moments = {"watermark": told["eventTime"]["watermark"], "commit": told["timestamp"]}
        if "backup" in told["durationMs"]:
            moments["backup"] = told["timestamp"]
        for name, moment in moments.items():
            if moment:
                self._set(f"{name}_timestamp_seconds", datetime.fromisoformat(moment).timestamp())

    def _lookups(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        for name, use in told.items():
            self._set("lookup_breaker", STATES.index(use["breaker"]), lookup=name)
            for outcome, times in use.items():
                if outcome != "breaker":
                    self._add("lookup_outcomes_total", times, lookup=name, outcome=outcome)

    def _latency(self, measured: Mapping[str, Any]) -> None:
        for name, found in measured.get("latencyMs", {}).items():
            self._set("event_latency_seconds", found["ms"] / 1000, statistic=name)

    def _alerts(self, told: Mapping[str, Mapping[str, int]]) -> None:
        """Deliveries, of which the progress has the sums so far."""
        for receiver, counts in told.items():
            for outcome, count in counts.items():
                if outcome == "pending":
                    self._set("alerts_pending", count, receiver=receiver)
                    continue
                before = self._told.get((receiver, outcome), 0)
                self._add("alert_deliveries_total", count - before, receiver=receiver, outcome=outcome)
                self._told[receiver, outcome] = count

    def _quality(self, rows: pl.DataFrame) -> None:
        for check, subject, count in self._findings.take(rows):
            self._add("data_quality_findings_total", count, check_name=check, subject=subject)

    def _metric_alerts(self, rows: pl.DataFrame) -> None:
        self._rows("alerts_total", ("rule", "severity", "state"), rows)
        self._incidents.take("metric_alerts", rows)

    def _anomaly_alerts(self, rows: pl.DataFrame) -> None:
        self._rows("anomalies_total", ("metric", "kind", "severity", "state"), rows)
        self._incidents.take("anomaly_alerts", rows)

    def _rows(self, name: str, keys: tuple[str, ...], rows: pl.DataFrame) -> None:
        for *key, count in rows.group_by(keys).len().sort(keys).iter_rows():
            self._add(name, count, **dict(zip(keys, key, strict=True)))

    def _set(self, name: str, value: float, **labels: str) -> None:
        if name not in self._gauges:
            said = METRICS[name]
            self._gauges[name] = Gauge(f"{PREFIX}{name}", said.help, [JOB, *said.labels], registry=self.registry)
        self._gauges[name].labels(**{JOB: self._job, **labels}).set(value)

    def _add(self, name: str, value: float, **labels: str) -> None:
        if name not in self._counters:
            said = METRICS[name]
            self._counters[name] = Counter(f"{PREFIX}{name}", said.help, [JOB, *said.labels], registry=self.registry)
        self._counters[name].labels(**{JOB: self._job, **labels}).inc(value)
