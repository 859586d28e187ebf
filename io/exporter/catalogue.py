"""The registry of exported metrics: names, kinds, labels and what they mean; nothing is shown that is not here.

Names and units follow Prometheus' conventions: base units, `_total` for what only grows, `_timestamp_seconds` for
moments.
`job` and `instance` belong to whoever scrapes, so the job's own name is the label `job_name`.
"""

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "ecompulse_"
JOB: Final = "job_name"


@dataclass(frozen=True)
class Exported:
    """A metric.

    Attributes:
        kind: of Prometheus.
        help: what it says, and what to make of it.
        labels: beside the job's name.
        open: whether there are further labels, which depend on what is measured.
    """

    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    open: bool = False


METRICS: Final[dict[str, Exported]] = {
    "build_info": Exported("gauge", "Always 1; which version of ecompulse and Python runs.", ("version", "python")),
    "epoch": Exported("gauge", "Number of the last committed epoch; it never goes back."),
    "epochs_total": Exported("counter", "Epochs committed since the start of this process."),
    "epoch_duration_seconds": Exported("histogram", "From the plan of an epoch to its commit."),
    "phase_duration_seconds": Exported(
        "gauge", "How long each phase of the last epoch took: plan, run, seal, backup, publish, alerts.", ("phase",)
    ),
    "commit_timestamp_seconds": Exported(
        "gauge", "When the last epoch was committed, as a Unix time. An idle source commits none."
    ),
    "backup_timestamp_seconds": Exported(
        "gauge", "When the backup last took an epoch, as a Unix time; only with --checkpoint_backup."
    ),
    "watermark_timestamp_seconds": Exported(
        "gauge", "Event time up to which rows are complete, as a Unix time. time() less this is how far results lag."
    ),
    "input_rows_total": Exported("counter", "Rows read from all sources, good and bad."),
    "output_rows_total": Exported(
        "counter", "Rows written, by table; those of dead_letters are rows that were no events.", ("table",)
    ),
    "backlog_rows": Exported(
        "gauge", "Rows known to wait in the sources after the last epoch; of files an estimate, by the size of a row."
    ),
    "state_rows": Exported("gauge", "Rows of keyed state; open sessions, windows, carts.", ("operator",)),
    "state_bytes": Exported("gauge", "Size of keyed state as it is stored.", ("operator",)),
    "retries_total": Exported(
        "counter", "What failed and was tried again: run (an epoch), checkpoint, backup, publish (a sink).", ("kind",)
    ),
    "failed_attempts": Exported(
        "gauge",
        "Attempts of whatever the job does that failed in a row since its last pass; 0 when all is well. Only of jobs "
        "with a duration as --trigger, and not before the first pass or failure of a process.",
        ("checkpoint",),
    ),
    "disk_free_bytes": Exported(
        "gauge", "What is free on the file system of a place that the job writes to, as of the scrape.", ("place",)
    ),
    "disk_size_bytes": Exported("gauge", "Size of the file system of a place that the job writes to.", ("place",)),
    "lookup_breaker": Exported(
        "gauge",
        "Circuit breaker of a look-up: 0 closed, 1 half open, 2 open, when its store is left alone.",
        ("lookup",),
    ),
    "lookup_outcomes_total": Exported(
        "counter", "Keys and requests of a look-up, by what became of them.", ("lookup", "outcome")
    ),
    "event_latency_seconds": Exported(
        "gauge",
        "From an event's own time to the commit of its epoch, of the last epoch that was measured.",
        ("statistic",),
    ),
    "data_quality_findings_total": Exported(
        "counter", "Findings of the table data_quality: broken rules, nulls, duplicates, late rows.",
        ("check_name", "subject"),
    ),
    "kpi": Exported(
        "gauge",
        "Last final value of each series of each metric of the table metrics; its dimensions are labels. Filter one "
        "metric and window_size before you sum, and never sum rates, means, distinct counts or quantiles.",
        ("metric", "window_size", "currency"),
        open=True,
    ),
    "kpi_window_end_timestamp_seconds": Exported(
        "gauge", "End of the window that kpi shows, as a Unix time of events.", ("metric", "window_size")
    ),
    "kpi_series_hidden": Exported(
        "gauge", "Series of the last window that are not shown, since a metric may show so many only.",
        ("metric", "window_size"),
    ),
    "alerts_total": Exported(
        "counter", "Rows of metric_alerts: rules that fired and recovered.", ("rule", "severity", "state")
    ),
    "anomalies_total": Exported(
        "counter", "Rows of anomaly_alerts: incidents of KPIs that began and ended.",
        ("metric", "kind", "severity", "state"),
    ),
    "open_incidents": Exported(
        "gauge",
        "Incidents of metric_alerts (by rule) and anomaly_alerts (by kind) that this process has seen begin, and not "
        "end.",
        ("table", "rule", "metric"),
    ),
    "transactions_total": Exported("counter", "Transactions scored, by decision.", ("decision",)),
    "model": Exported("gauge", "What is known of the models of fraud, as the progress has it.", ("fact",)),
    "alert_deliveries_total": Exported(
        "counter", "Alerts by receiver and outcome: delivered, failed (tried again), refused, letters.",
        ("receiver", "outcome"),
    ),
    "alerts_pending": Exported("gauge", "Alerts that wait for their receiver.", ("receiver",)),
}  # fmt: skip
"""By name, without PREFIX."""
