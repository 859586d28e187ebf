"""Points of series, and the alerts of the KPI detector over them."""

import itertools

import numpy as np
import polars as pl

from ecompulse.kernels.alerts.matching import SEPARATOR
from ecompulse.kernels.anomalies.kernel import DetectAnomalies
from ecompulse.kernels.anomalies.matching import POINT_SCHEMA
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.metric_runs import Shards

MINUTE = 60_000
START = 1_735_689_600_000


def points(metric, values, *, step=5, start=START, skip=()):
    """Points of a series; `skip` are positions without a window."""
    rows = [
        (SEPARATOR.join([metric, f"{step}m", "{}", ""]), start + at * step * MINUTE, round(float(value) * 10**6), 1)
        for at, value in enumerate(values)
        if at not in skip
    ]
    return pl.DataFrame(rows, schema=POINT_SCHEMA, orient="row")


def noise(size, *, seed=1, mean=100.0, spread=3.0):
    return np.random.default_rng(seed).normal(mean, spread, size)


def run(frame, cuts=(), *, num_shards=1, kernel=None, delay=0, ending=END_OF_TIME):
    """All alerts of points in order of their windows' ends, in epochs that begin behind the cuts."""
    shards = Shards(kernel or DetectAnomalies(), num_shards)
    ordered, said, watermark = frame.sort("end", "series", "revision"), [], -1
    bounds = [0, *sorted(cuts), frame.height]
    for epoch, (since, until) in enumerate(itertools.pairwise(bounds), start=1):
        rows = ordered[since:until]
        said.append(shards.step(rows, Clock(epoch, watermark, 0))["anomaly_alerts"])
        watermark = max(watermark, (rows["end"].max() or 0) - delay)
    said.append(shards.step(frame.clear(), Clock(len(bounds), ending, 0))["anomaly_alerts"])
    return pl.concat(said).sort("since", "metric", "kind", "window_end", "id")
