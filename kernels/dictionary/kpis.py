"""Tables of metrics, and of what is wrong with them."""

from typing import Final

from ecompulse.kernels.anomalies.incidents import KINDS, SEVERITIES
from ecompulse.kernels.dictionary.column import About, Column

_STATES: Final = ("firing", "recovered")
_SERIES: Final = {
    "metric": Column("name of the metric", example="revenue"),
    "window_size": Column("length of the window, and slide where windows overlap", example="10m/1m"),
    "dimensions": Column("values of the dimensions as canonical JSON; `{}` for the whole", example='{"country":"DE"}'),
    "currency": Column("currency of an amount, ISO 4217; null for what is none", example="EUR"),
}
_INCIDENT: Final = {
    "incident_id": Column("the incident: the same in the row that fires and the row that recovers"),
    "state": Column("`firing` when it begins, `recovered` when it is over", values=_STATES),
    **_SERIES,
}

METRICS: Final = About(
    "one metric, window, dimensions and currency",
    {
        **_SERIES,
        "window_start": Column("begin of the window", "UTC"),
        "window_end": Column("end of the window, which is not in it", "UTC"),
        "value": Column(
            "the metric; null where nothing is divided", "as the metric's help says", example="1234.500000"
        ),
        "numerator": Column("of a mean, rate or ratio, exact; the value of others with 4 decimals; null for quantiles"),
        "denominator": Column("of a mean, rate or ratio, exact; null for others"),
        "error_bound": Column("how far `value` may be off, either way; 0 when it is exact"),
    },
    "A window comes as final when the watermark has passed its end and the metric's lag, before that with `early`; a "
    "late row within `--allowed_lateness` brings it again with a higher `revision`.",
)

METRIC_ALERTS: Final = About(
    "one turn of an incident: it fires, it has recovered",
    {
        **_INCIDENT,
        "rule": Column("rule that fired", example="revenue_drop"),
        "severity": Column("how bad, as the rule says", values=("info", "warning", "critical")),
        "since": Column("end of the first window that broke the rule", "UTC"),
        "until": Column("end of the window that is back; null while it fires", "UTC"),
        "value": Column("of the window that fired or recovered it; null for absence"),
    },
)

ANOMALY_ALERTS: Final = About(
    "one turn of an incident of a metric that the detector did not expect",
    {
        **_INCIDENT,
        "kind": Column("one window far out, a new level, or no window at all", values=KINDS),
        "severity": Column("`critical` from two orders above the threshold", values=SEVERITIES),
        "since": Column("end of its first window; of a silence, of the last one before it", "UTC"),
        "window_end": Column("end of the window that fired or recovered it", "UTC"),
        "value": Column("of that window; null for a silence"),
        "expected_low": Column("lower end of what was expected"),
        "expected_high": Column("upper end of what was expected"),
        "score": Column("how far out it was", "orders of magnitude", example="5.2"),
    },
)
