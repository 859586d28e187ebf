"""How long events take from their own time to the commit of their epoch.

The run knows the event times; the driver knows the time of the commit. So the run reports counts of ages (`now` minus
event time), in buckets that grow by 2%, and the driver adds the time from `now` to the commit.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.metrics.measures.quantiles import buckets_of, representative
from ecompulse.kernels.rows import no_rows

QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))

MEASURED_SCHEMA: Final = pl.Schema(
    {
        "measure": pl.String(),
        "statistic": pl.String(),
        "since": TIME,
        "until": TIME,
        "value": pl.Decimal(38, 6),
        "error_bound": pl.Decimal(38, 6),
    }
)
"""What the driver measured of an epoch from `since` (its plan) to `until` (its commit): `event_latency_ms` with
`statistic` p50 p95 p99 max, of events that were read in it; `events_per_second` (statistic null)."""

LATENCY: Final = "event_latency_ms"
THROUGHPUT: Final = "events_per_second"


def ages(events: pl.DataFrame, now: int) -> dict[str, int]:
    """Counts of events by bucket of their age (ms) at `now`."""
    if events.is_empty():
        return {}
    found = buckets_of(pl.Series(now - events["event_time"].dt.epoch("ms"))).value_counts()
    return {str(bucket): count for bucket, count in found.iter_rows()}


def add_ages(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Add counts to counts."""
    for bucket, count in more.items():
        total[bucket] = total.get(bucket, 0) + count


def measure(counts: Mapping[str, int], planned: int, committed: int) -> dict[str, Any]:
    """Latency quantiles (ms; with an error of at most 1% of the age) and throughput of an epoch; empty without events.

    A quantile q is the smallest age with at least a share q of the ages at or below it.
    """
    if not counts:
        return {}
    buckets = np.array(sorted(int(bucket) for bucket in counts), dtype=np.int64)
    reached = np.cumsum([counts[str(bucket)] for bucket in buckets])
    estimates, bounds = representative(buckets)
    latency = {}
    for name, share in QUANTILES:
        at = int(np.searchsorted(reached, max(1, -(-int(reached[-1] * share * 100) // 100))))
        value = estimates[at] + (committed - planned) * 1_000_000
        latency[name] = {"ms": round(value / 1_000_000), "errorMs": -(-bounds[at] // 1_000_000)}
    seconds = max(committed - planned, 1) / 1000
    return {
        "since": planned, "until": committed, "latencyMs": latency,
        "eventsPerSecond": round(int(reached[-1]) / seconds, 1),
    }  # fmt: skip


def measured(found: Mapping[str, Any]) -> pl.DataFrame:
    """A measurement as MEASURED_SCHEMA."""
    if not found:
        return no_rows(MEASURED_SCHEMA)
    rows = [(LATENCY, name, told["ms"], told["errorMs"]) for name, told in found["latencyMs"].items()]
    rows.append((THROUGHPUT, None, found["eventsPerSecond"], 0))
    names = ["measure", "statistic", "value", "error_bound"]
    frame = pl.DataFrame([(m, s, str(v), str(e)) for m, s, v, e in rows], schema=names, orient="row")
    moments = (pl.lit(found[name], pl.Int64).cast(TIME).alias(name) for name in ("since", "until"))
    return frame.with_columns(moments).select(pl.col(name).cast(dtype) for name, dtype in MEASURED_SCHEMA.items())
