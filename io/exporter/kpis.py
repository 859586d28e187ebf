"""KPIs as Prometheus sees them: of each metric the series of its last final window, dimensions as labels."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
from prometheus_client.core import GaugeMetricFamily, Metric

from ecompulse.io.exporter.catalogue import JOB, METRICS, PREFIX
from ecompulse.kernels.labels import as_label
from ecompulse.kernels.metrics.derived import DATA_QUALITY, EPOCH

MOST_SERIES: Final = 500
"""Series of a metric and window size that are shown: those with the largest values."""

SILENCE_S: Final = 7_200
"""A metric without a new window for so long (event time, beyond its usual lag and its window) is shown no more."""

# Windows of `epoch` are of processing time, which other metrics show; so are some of data quality, which tell no time.
_OWN: Final = frozenset({JOB, "job", "instance", "metric", "window_size", "currency", "le", "quantile"})

Labels = tuple[tuple[str, str], ...]


@dataclass
class _Window:
    """The last window of a metric: its end (s), its series, how many are hidden, how far its windows come behind."""

    end: int
    series: dict[Labels, float]
    hidden: int
    lag: int


@dataclass(eq=False)  # a registry keeps it by its identity
class Kpis:
    """Collects KPIs at each scrape; rows come from the thread of the driver.

    Attributes:
        job: name of the job.
        most: see MOST_SERIES.
    """

    job: str
    most: int = MOST_SERIES
    _windows: dict[tuple[str, str], _Window] = field(default_factory=dict)
    _head: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, rows: pl.DataFrame) -> None:
        """Final rows of the table `metrics` take the place of those of earlier windows."""
        final = rows.filter(pl.col("final"), pl.col("window_size") != EPOCH)
        if final.is_empty():
            return
        final = final.with_columns(end=pl.col("window_end").dt.epoch("s"))
        with self._lock:
            of_events = final.filter(pl.col("metric") != DATA_QUALITY)["end"]
            self._head = max([self._head, *of_events])
            for (metric, size), part in final.group_by("metric", "window_size", maintain_order=True):
                self._newest(str(metric), str(size), part)

    def _newest(self, metric: str, size: str, rows: pl.DataFrame) -> None:
        known = self._windows.get((metric, size))
        last = rows.filter(pl.col("end") == pl.col("end").max())
        end = last["end"][0]
        if known and end < known.end:
            return
        last = last.sort("revision").unique(["dimensions", "currency"], keep="last", maintain_order=True)
        last = last.filter(pl.col("value").is_not_null()).sort("value", "dimensions", descending=[True, False])
        shown = {
            _labels(text, currency): float(value)
            for text, currency, value in last.head(self.most).select("dimensions", "currency", "value").iter_rows()
        }
        if known and end == known.end:  # some series again, revised
            shown = dict(list({**known.series, **shown}.items())[: self.most])
        hidden = max(last.height - self.most, known.hidden if known and end == known.end else 0, 0)
        lag = max(self._head - end, known.lag if known else 0)
        self._windows[metric, size] = _Window(end, shown, hidden, lag)

    def collect(self) -> Iterator[Metric]:
        """For the registry of prometheus_client."""
        value, ends, hidden = (_family(name) for name in _SHOWN)
        with self._lock:
            for (metric, size), window in self._windows.items():
                if self._head - window.end > window.lag + _seconds(size) + SILENCE_S:
                    continue
                own = {JOB: self.job, "metric": metric, "window_size": size}
                for labels, number in window.series.items():
                    value.add_sample(value.name, {**own, **dict(labels)}, number)
                ends.add_sample(ends.name, own, window.end)
                if window.hidden:
                    hidden.add_sample(hidden.name, own, window.hidden)
        yield from (value, ends, hidden)

    def describe(self) -> Iterator[Metric]:
        """Names, so that no other collector takes them."""
        yield from (_family(name) for name in _SHOWN)


_SHOWN: Final = ("kpi", "kpi_window_end_timestamp_seconds", "kpi_series_hidden")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _family(name: str) -> Any:
    return GaugeMetricFamily(f"{PREFIX}{name}", METRICS[name].help)


def _labels(dimensions: str, currency: str | None) -> Labels:
    """Labels of a series, with names that Prometheus takes; `dimension_` stands before a name that is ours."""
    found = {"currency": currency} if currency else {}
    for name, value in json.loads(dimensions or "{}").items():
        label = as_label(name)
        taken = label in _OWN or not re.match("[A-Za-z_]", label) or label.startswith("__")
        found[f"dimension_{label}" if taken else label] = "" if value is None else str(value)
    return tuple(found.items())


def _seconds(window_size: str) -> float:
    """Length of a window of a label such as `10m/1m`."""
    found = re.match(r"(\d+)(ms|s|m|h|d)", window_size)
    return int(found[1]) * _UNITS[found[2]] if found else 0.0
