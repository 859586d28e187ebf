"""The HTTP endpoint of a driver: metrics for Prometheus, and what an orchestrator's probes ask.

Metrics are progress, data quality, KPIs, alerts and models.
Names and units follow Prometheus' conventions: base units, `_total` for what only grows, `_seconds` for times.
A driver shows what it has seen itself: after a restart counters begin at 0, as Prometheus expects of a process.
"""

import errno
import io
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.health import Health
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.seal import Seal
from ecompulse.io.lookups.usage import STATES

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MOST_SERIES: Final = 1_000
"""Series of KPIs that are shown, whatever the job makes: the first that come; others are only counted."""

LOCAL: Final = "127.0.0.1"

DURATIONS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)


class Exporter:
    """Shows the progress and the tables of each committed epoch to whoever scrapes.

    Label values come from flags, table, rule and operator names; those that come from data (dimensions of KPIs) are
    bounded by `MOST_SERIES`.
    """

    def __init__(self, job: str, outputs: Store) -> None:
        """`outputs`: store below which output files are."""
        self.registry = CollectorRegistry()
        self._job = job
        self._outputs = outputs
        self._shown: set[tuple[str, ...]] = set()
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._durations = Histogram(
            "ecompulse_epoch_duration_seconds",
            "From plan to commit.",
            ["job"],
            buckets=DURATIONS,
            registry=self.registry,
        )
        self._readers: Mapping[str, Callable[[pl.DataFrame], None]] = {
            "metrics": self._kpis,
            "data_quality": self._quality,
            "metric_alerts": partial(self._rows, "alerts_total", "Turns of incidents.", ("rule", "severity", "state")),
            "anomaly_alerts": partial(
                self._rows, "anomalies_total", "Turns of incidents of KPIs.", ("metric", "kind", "severity", "state")
            ),
            "risk_scores": partial(self._rows, "transactions_total", "Transactions by decision.", ("decision",)),
        }

    def serve(self, address: str, host: str | None = None, health: Health | None = None) -> Callable[[], None]:
        """Listen on `HOST:PORT`, or on `PORT` of `host`; returns what ends it. UserError when that cannot be.

        `health` answers `/livez` and `/readyz`: 200 or 503, and why in a line.

        Without a host only this machine is answered: KPIs and what they are of are not for everybody.
        """
        own, _, port = address.rpartition(":")
        if own and host:
            raise UserError(f"--metrics_host: {host}: --metrics_port={address} names a host already")
        listening = (own or host or LOCAL).removeprefix("[").removesuffix("]")
        try:
            server, thread = start_http_server(int(port), listening, self.registry)
        except (OSError, ValueError, OverflowError) as error:
            given = f"--metrics_host: {host}" if host and _is_of_host(error) else f"--metrics_port: {address}"
            reason = error.strerror if isinstance(error, OSError) else "give PORT or HOST:PORT"
            raise UserError(f"{given}: {reason}") from None
        if health:
            server.set_app(_with_probes(health, server.get_app()))

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end

    def progress(self, told: Mapping[str, Any]) -> None:
        """Take the progress of an epoch."""
        self._set("epoch", "Last committed epoch.", told["batchId"])
        self._add("epochs_total", "Committed epochs.", 1)
        self._add("input_rows_total", "Rows read.", told["numInputRows"])
        self._set("backlog_rows", "Rows or bytes known to wait in the sources.", told["backlog"])
        self._durations.labels(self._job).observe(told["durationMs"]["total"] / 1000)
        for phase, ms in told["durationMs"].items():
            self._set("phase_duration_seconds", "Of the last epoch.", ms / 1000, phase=phase)
        for table, rows in told["sink"]["tables"].items():
            self._add("output_rows_total", "Rows of each table.", rows, table=table)
        for operator in told["stateOperators"]:
            name = operator["operatorName"]
            self._set("state_rows", "Rows of keyed state.", operator["numRowsTotal"], operator=name)
            self._set("state_bytes", "Size of keyed state.", operator["stateBytes"], operator=name)
        for kind, times in told.get("retries", {}).items():
            self._add("retries_total", "What was tried again, by what failed.", times, kind=kind)
        for name, use in told.get("lookups", {}).items():
            self._set("lookup_breaker", "0 closed, 1 half open, 2 open.", STATES.index(use["breaker"]), lookup=name)
            for outcome, times in use.items():
                if outcome != "breaker":
                    self._add("lookup_outcomes_total", "Of look-ups.", times, lookup=name, outcome=outcome)
        for name, value in (told.get("models") or {}).items():
            self._set("model", "What is known of the models of fraud.", value, fact=name)
        watermark = told["eventTime"]["watermark"]
        if watermark:
            self._set("watermark_timestamp_seconds", "Event time.", datetime.fromisoformat(watermark).timestamp())
        self._set(
            "commit_timestamp_seconds", "Of the last epoch.", datetime.fromisoformat(told["timestamp"]).timestamp()
        )
        self._latency(told.get("measured") or {})

    def committed(self, seal: Seal) -> None:
        """Take the rows of a committed epoch, of the tables that are shown."""
        for table, read in self._readers.items():
            for file in seal.files.get(table, []):
                read(pl.read_parquet(io.BytesIO(self._outputs.get(file["path"]))))

    def _latency(self, measured: Mapping[str, Any]) -> None:
        for name, found in measured.get("latencyMs", {}).items():
            help_text = "From an event's own time to its commit."
            self._set("event_latency_seconds", help_text, found["ms"] / 1000, statistic=name)

    def _kpis(self, rows: pl.DataFrame) -> None:
        names = ("metric", "window_size", "dimensions", "currency")
        final = rows.filter(pl.col("final") & pl.col("value").is_not_null(), pl.col("window_size") != "epoch")
        last = final.sort("window_end", "revision").unique(names, keep="last", maintain_order=True)
        told = last.select(*names, pl.col("value").cast(pl.Float64), pl.col("window_end").dt.epoch("s"))
        for *key, value, end in told.fill_null("").iter_rows():
            labels = tuple(key)
            if labels not in self._shown and len(self._shown) >= MOST_SERIES:
                self._add("kpi_series_hidden_total", "Values of series beyond those that are shown.", 1)
                continue
            self._shown.add(labels)
            named = dict(zip(names, labels, strict=True))
            self._set("kpi", "Last final value of each series.", value, **named)
            self._set("kpi_window_end_timestamp_seconds", "Of that value.", end, **named)

    def _quality(self, rows: pl.DataFrame) -> None:
        totals = rows.group_by("check_name", "subject").agg(pl.col("count").sum()).sort("check_name", "subject")
        for check, subject, count in totals.iter_rows():
            self._add(
                "data_quality_findings_total", "Counts of data_quality.", count, check_name=check, subject=subject
            )

    def _rows(self, name: str, text: str, keys: tuple[str, ...], rows: pl.DataFrame) -> None:
        for *key, count in rows.group_by(keys).len().sort(keys).iter_rows():
            self._add(name, text, count, **dict(zip(keys, key, strict=True)))

    def _set(self, name: str, text: str, value: float, **labels: str) -> None:
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"ecompulse_{name}", text, ["job", *labels], registry=self.registry)
        self._gauges[name].labels(self._job, *labels.values()).set(value)

    def _add(self, name: str, text: str, value: float, **labels: str) -> None:
        if name not in self._counters:
            self._counters[name] = Counter(f"ecompulse_{name}", text, ["job", *labels], registry=self.registry)
        self._counters[name].labels(self._job, *labels.values()).inc(value)


def _with_probes(health: Health, other: "WSGIApplication | None") -> "WSGIApplication":
    probes = {"/livez": health.alive, "/readyz": health.ready}

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        probe = probes.get(environ["PATH_INFO"])
        if probe is None:
            return other(environ, start) if other else ()
        found = probe()
        start("200 OK" if found.good else "503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{found.text}\n".encode()]

    return answer


def _is_of_host(error: Exception) -> bool:
    """No name of a host, or no address of this machine."""
    return isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
