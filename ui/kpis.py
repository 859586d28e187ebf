"""KPIs over their last windows, with the week before, incidents, and what was expected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from ecompulse.ui.rows import ROWS, Row, as_number, as_stored, as_time, table_of
from ecompulse.ui.view import View
from ecompulse.ui.words import as_amount

KPIS: Final = ("revenue", "orders", "active_visitors", "conversion_rate", "average_order_value", "page_views")
"""Metrics that are drawn, as far as they are there."""


WHOLE: Final = "{}"


_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True)
class Kpi:
    """A metric over its last windows, oldest first.

    Attributes:
        values: None for a window without one.
        final: whether each window is; others may still change.
        before: the same windows a week earlier.
        incidents: first and last window, and what was seen, of alerts of this metric.
        expected: window, lowest and highest value that were expected where an incident fired or recovered.
    """

    name: str
    unit: str
    starts: Sequence[str]
    values: Sequence[float | None]
    final: Sequence[bool]
    before: Sequence[float | None]
    incidents: Sequence[tuple[int, int, str]] = ()
    expected: Sequence[tuple[int, float, float]] = ()

    @property
    def rows(self) -> Sequence[Row]:
        """As a table, the last window first."""
        values = map(as_amount, self.values) if self.unit else self.values
        windows = zip(self.starts, values, ("yes" if done else "not yet" for done in self.final), strict=True)
        return list(windows)[::-1]


METRICS: Final = table_of(
    "metrics", "metric", "window_size", "window_start", "dimensions", "value", "currency", "final"
)


METRIC_ALERTS: Final = table_of(
    "metric_alerts", "incident_id", "rule", "state", "severity", "metric", "since", "until", "value"
)


ANOMALIES: Final = table_of(
    "anomaly_alerts", "incident_id", "metric", "dimensions", "kind", "state", "severity", "since", "window_end",
    "value", "expected_low", "expected_high",
)  # fmt: skip


def newest_window(connection: sa.Connection, view: View) -> datetime | None:
    """Start of the last window that any KPI has in the view; all charts end with it."""
    columns = METRICS.c
    found = []
    for name in KPIS:
        asked = sa.select(columns.window_start).where(columns.metric == name, columns.window_size == view.window)
        if view.until:
            asked = asked.where(columns.window_start <= as_stored(connection, view.until - view.step))
        newest = connection.scalar(asked.order_by(columns.window_start.desc()).limit(1))
        found += [_floored(as_time(newest), view.step)] if newest is not None else []
    return max(found, default=None)


def _floored(moment: datetime, step: timedelta) -> datetime:
    seconds = int(moment.timestamp())
    return moment - timedelta(seconds=seconds % int(step.total_seconds()))


def read_kpi(connection: sa.Connection, there: set[str], name: str, view: View, last: datetime) -> Kpi | None:
    """The total of a metric; of several currencies the first."""
    columns = METRICS.c
    mine = sa.and_(columns.metric == name, columns.window_size == view.window, columns.dimensions == WHOLE)
    asked = sa.select(columns.window_start, columns.value, columns.final, columns.currency).where(mine)
    count = int(view.length / view.step)
    starts = [last - (count - 1 - number) * view.step for number in range(count)]

    def between(first: datetime, last: datetime) -> list[Any]:
        within = columns.window_start.between(as_stored(connection, first), as_stored(connection, last))
        return list(connection.execute(asked.where(within)).all())

    rows = between(starts[0], last)
    if not rows:
        return None
    currency = min(row.currency or "" for row in rows)
    found = {as_time(row.window_start): row for row in rows if (row.currency or "") == currency}
    week = between(starts[0] - _WEEK, last - _WEEK)
    before = {as_time(row.window_start): row for row in week if (row.currency or "") == currency}
    incidents, expected = _marks(connection, there, name, starts, view.step)
    return Kpi(
        name,
        currency,
        [start.strftime("%Y-%m-%d %H:%M") for start in starts],
        [as_number(found[start].value) if start in found else None for start in starts],
        [start not in found or bool(found[start].final) for start in starts],
        [as_number(before[start - _WEEK].value) if start - _WEEK in before else None for start in starts],
        incidents,
        expected,
    )


def _marks(
    connection: sa.Connection, there: set[str], name: str, starts: Sequence[datetime], step: timedelta
) -> tuple[list[tuple[int, int, str]], list[tuple[int, float, float]]]:
    """Alerts of a metric on the places of its windows."""

    def place(moment: datetime) -> int:
        return int((moment - starts[0]) / step)

    last, incidents, expected = len(starts) - 1, [], []
    span = (as_stored(connection, starts[0]), as_stored(connection, starts[-1] + step))
    if "metric_alerts" in there:
        columns = METRIC_ALERTS.c
        asked = sa.select(columns.rule, columns.since, columns.until).where(columns.metric == name)
        found = connection.execute(asked.where(columns.since.between(*span)).order_by(columns.since.desc()).limit(ROWS))
        for rule, since, until in found:
            ended = place(as_time(until)) if until is not None else place(as_time(since))
            incidents.append((max(place(as_time(since)), 0), min(max(ended, 0), last), f"rule {rule}"))
    if "anomaly_alerts" in there:
        columns = ANOMALIES.c
        asked = sa.select(columns.since, columns.window_end, columns.kind, columns.expected_low, columns.expected_high)
        asked = asked.where(columns.metric == name, columns.dimensions == WHOLE)
        found = connection.execute(asked.where(columns.window_end.between(*span)).limit(ROWS))
        for since, end, kind, low, high in found:
            at = min(place(as_time(end) - step), last)
            incidents.append((max(place(as_time(since) - step), 0), at, f"anomaly, {kind}"))
            if low is not None and high is not None:
                expected.append((at, float(low), float(high)))
    return incidents, expected
