"""What the warehouse says of the shop: KPIs, incidents, funnel, abandoned carts, fraud. One bounded query per panel."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.io.sinks.database import SQLITE
from ecompulse.ui.view import View

ROWS: Final = 50
"""Rows of a list at the most."""

KPIS: Final = ("revenue", "orders", "active_visitors", "conversion_rate", "average_order_value", "page_views")
"""Metrics that are drawn, as far as they are there."""

WHOLE: Final = "{}"
_DAYS: Final = 14
_WEEK: Final = timedelta(days=7)

Row = Sequence[Any]


@dataclass(frozen=True)
class Panel:
    """A list.

    Attributes:
        table: that it is of; the dictionary says what its columns mean.
        columns: of the table, or a heading of the list's own.
        rows: of cells; a None is shown as unknown.
        why: what an empty list means.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    why: str = ""
    table: str = ""


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
        told = zip(self.starts, self.values, ("yes" if done else "not yet" for done in self.final), strict=True)
        return list(told)[::-1]


def _columns(name: str, *columns: str) -> Any:
    return sa.table(name, *(sa.column(column) for column in columns))


METRICS: Final = _columns(
    "metrics", "metric", "window_size", "window_start", "dimensions", "value", "currency", "final"
)
METRIC_ALERTS: Final = _columns("metric_alerts", "rule", "state", "severity", "metric", "since", "until", "value")
ANOMALIES: Final = _columns(
    "anomaly_alerts", "metric", "dimensions", "kind", "state", "severity", "since", "window_end", "value",
    "expected_low", "expected_high",
)  # fmt: skip
QUALITY: Final = _columns("data_quality", "check_name", "window_start", "count", "rows")
FUNNELS: Final = _columns(
    "funnels", "funnel", "mode", "scope", "segment", "stage", "stage_index", "window_start", "entered"
)
CARTS: Final = _columns(
    "abandonment_alerts", "visitor", "user_id", "kind", "status", "value_base", "abandoned_at", "order_id"
)
FLAGGED: Final = _columns(
    "flagged_transactions", "event_time", "transaction_id", "visitor", "amount_base", "score", "decision", "reasons"
)


def read_shop(engine: sa.Engine, view: View) -> tuple[list[Kpi], list[Panel]]:
    """All panels; one whose table is not there, or cannot be read, says why."""
    with engine.connect() as connection:
        there = set(sa.inspect(connection).get_table_names())
        last = _newest(connection, view) if "metrics" in there else None
        kpis = [kpi for name in KPIS if (kpi := _kpi(connection, there, name, view, last))] if last else []
        panels = [
            _panel(connection, there, "metric_alerts", "Incidents", "no rule has fired", _incidents),
            _panel(connection, there, "anomaly_alerts", "Anomalies of KPIs", "nothing was unusual", _anomalies),
            _panel(
                connection, there, "metrics", f"Revenue by {view.by}", f"no revenue_by_{view.by} in these hours",
                lambda connection: _revenue_by(connection, view, last),
            ),
            _panel(connection, there, "funnels", "Funnel of the last day", "no window is over yet", _funnel),
            _panel(connection, there, "abandonment_alerts", "Abandoned carts", "no cart was left", _carts),
            _panel(connection, there, "flagged_transactions", "Transactions to look at", "nothing was flagged", _fraud),
            _panel(connection, there, "data_quality", "Quality of the input by day", "no window is over yet", _quality),
        ]  # fmt: skip
    return kpis, panels


def _newest(connection: sa.Connection, view: View) -> datetime | None:
    """Start of the last window that any KPI has in the view; all charts end with it."""
    columns = METRICS.c
    found = []
    for name in KPIS:
        asked = sa.select(columns.window_start).where(columns.metric == name, columns.window_size == view.window)
        if view.until:
            asked = asked.where(columns.window_start <= _at(connection, view.until - view.step))
        newest = connection.scalar(asked.order_by(columns.window_start.desc()).limit(1))
        found += [_floored(_time(newest), view.step)] if newest is not None else []
    return max(found, default=None)


def _floored(moment: datetime, step: timedelta) -> datetime:
    seconds = int(moment.timestamp())
    return moment - timedelta(seconds=seconds % int(step.total_seconds()))


Read = Callable[[sa.Connection], tuple[Sequence[str], Sequence[Row]]]


def _panel(connection: sa.Connection, there: set[str], table: str, title: str, empty: str, read: Read) -> Panel:
    if table not in there:
        return Panel(title, (), (), f"N/A because the warehouse has no table {table} yet")
    try:
        columns, rows = read(connection)
    except SQLAlchemyError as error:
        return Panel(title, (), (), f"N/A because {table} cannot be read: {str(error).splitlines()[0]}")
    return Panel(title, columns, rows, "" if rows else empty, table)


def _kpi(connection: sa.Connection, there: set[str], name: str, view: View, last: datetime) -> Kpi | None:
    """The total of a metric; of several currencies the first."""
    columns = METRICS.c
    mine = sa.and_(columns.metric == name, columns.window_size == view.window, columns.dimensions == WHOLE)
    asked = sa.select(columns.window_start, columns.value, columns.final, columns.currency).where(mine)
    count = int(view.length / view.step)
    starts = [last - (count - 1 - number) * view.step for number in range(count)]

    def between(first: datetime, last: datetime) -> list[Any]:
        within = columns.window_start.between(_at(connection, first), _at(connection, last))
        return list(connection.execute(asked.where(within)).all())

    rows = between(starts[0], last)
    if not rows:
        return None
    currency = min(row.currency or "" for row in rows)
    found = {_time(row.window_start): row for row in rows if (row.currency or "") == currency}
    week = between(starts[0] - _WEEK, last - _WEEK)
    before = {_time(row.window_start): row for row in week if (row.currency or "") == currency}
    incidents, expected = _marks(connection, there, name, starts, view.step)
    return Kpi(
        name,
        currency,
        [start.strftime("%Y-%m-%d %H:%M") for start in starts],
        [_number(found[start].value) if start in found else None for start in starts],
        [start not in found or bool(found[start].final) for start in starts],
        [_number(before[start - _WEEK].value) if start - _WEEK in before else None for start in starts],
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
    span = (_at(connection, starts[0]), _at(connection, starts[-1] + step))
    if "metric_alerts" in there:
        columns = METRIC_ALERTS.c
        asked = sa.select(columns.rule, columns.since, columns.until).where(columns.metric == name)
        found = connection.execute(asked.where(columns.since.between(*span)).order_by(columns.since.desc()).limit(ROWS))
        for rule, since, until in found:
            ended = place(_time(until)) if until is not None else place(_time(since))
            incidents.append((max(place(_time(since)), 0), min(max(ended, 0), last), f"rule {rule}"))
    if "anomaly_alerts" in there:
        columns = ANOMALIES.c
        asked = sa.select(columns.since, columns.window_end, columns.kind, columns.expected_low, columns.expected_high)
        asked = asked.where(columns.metric == name, columns.dimensions == WHOLE)
        found = connection.execute(asked.where(columns.window_end.between(*span)).limit(ROWS))
        for since, end, kind, low, high in found:
            at = min(place(_time(end) - step), last)
            incidents.append((max(place(_time(since) - step), 0), at, f"anomaly, {kind}"))
            if low is not None and high is not None:
                expected.append((at, float(low), float(high)))
    return incidents, expected


def _incidents(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = METRIC_ALERTS.c
    shown = (columns.since, columns.rule, columns.severity, columns.state, columns.metric, columns.value, columns.until)
    found = connection.execute(sa.select(*shown).order_by(columns.since.desc()).limit(ROWS))
    return ("since", "rule", "severity", "state", "metric", "value", "until"), _rows(found)


def _anomalies(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = ANOMALIES.c
    shown = (columns.window_end, columns.metric, columns.dimensions, columns.kind, columns.severity, columns.state,
             columns.value, columns.expected_low, columns.expected_high)  # fmt: skip
    found = connection.execute(sa.select(*shown).order_by(columns.window_end.desc()).limit(ROWS))
    names = ("window end", "metric", "of", "kind", "severity", "state", "value", "expected from", "to")
    return names, [tuple(_decimal(cell) for cell in row) for row in _rows(found)]


def _decimal(value: Any) -> Any:
    """Decimals as numbers: SQLite keeps them as text, so that they stay exact."""
    try:
        return float(value) if isinstance(value, Decimal | str) else value
    except ValueError:
        return value


def _revenue_by(connection: sa.Connection, view: View, last: datetime | None) -> tuple[Sequence[str], Sequence[Row]]:
    """Sums over the windows of ten minutes of the view, the greatest first."""
    if last is None:
        return (), ()
    columns = METRICS.c
    first = last + view.step - view.length
    asked = (
        sa.select(columns.dimensions, columns.currency, sa.func.sum(sa.cast(columns.value, sa.Numeric)).label("total"))
        .where(columns.metric == f"revenue_by_{view.by}", columns.window_size == "10m")
        .where(columns.window_start.between(_at(connection, first), _at(connection, last)))
        .group_by(columns.dimensions, columns.currency)
        .order_by(sa.desc("total"))
        .limit(ROWS)
    )
    found = connection.execute(asked).all()
    whole = {currency: sum(float(row[2]) for row in found if row[1] == currency) for _, currency, _ in found}
    rows = [
        (json.loads(dimensions).get(view.by) or "unknown", currency, round(float(total), 2),
         f"{float(total) / whole[currency]:.1%}" if whole[currency] else None)
        for dimensions, currency, total in found
    ]  # fmt: skip
    return (view.by, "currency", "revenue", "share"), rows


def _quality(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    """Rows that each check found, of those that it looked at, day by day."""
    columns = QUALITY.c
    last = connection.scalar(sa.select(sa.func.max(columns.window_start)))
    if last is None:
        return (), ()
    day = sa.func.date(columns.window_start).label("day")
    asked = (
        sa.select(day, columns.check_name, sa.func.sum(columns.count), sa.func.sum(columns.rows))
        .where(columns.window_start > _at(connection, _time(last) - timedelta(days=_DAYS)))
        .group_by(day, columns.check_name)
        .order_by(sa.desc("day"), columns.check_name)
    )
    rows = [
        (str(on), check, int(found), int(of), f"{found / of:.2%}" if of else None)
        for on, check, found, of in connection.execute(asked)
        if found
    ]
    return ("day", "check", "found", "looked at", "share"), rows


def _funnel(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = FUNNELS.c
    last = connection.scalar(sa.select(sa.func.max(columns.window_start)))
    if last is None:
        return (), ()
    since = _at(connection, _time(last) - timedelta(days=1))
    asked = (
        sa.select(columns.stage, sa.func.min(columns.stage_index).label("place"), sa.func.sum(columns.entered))
        .where(columns.window_start > since, columns.scope == "session", columns.segment == "all")
        .where(columns.mode == sa.select(sa.func.min(columns.mode)).scalar_subquery())
        .group_by(columns.stage)
        .order_by("place")
    )
    stages = connection.execute(asked).all()
    first = int(stages[0][2]) if stages else 0
    rows = [(stage, int(entered), f"{entered / first:.1%}" if first else None) for stage, _, entered in stages]
    return ("stage", "entered", "of the first"), rows


def _carts(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = CARTS.c
    shown = (columns.abandoned_at, columns.kind, columns.status, columns.user_id, columns.visitor, columns.value_base)
    found = connection.execute(sa.select(*shown).order_by(columns.abandoned_at.desc()).limit(ROWS))
    return ("abandoned_at", "kind", "status", "user_id", "visitor", "value_base"), _rows(found)


def _fraud(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = FLAGGED.c
    shown = (columns.event_time, columns.transaction_id, columns.visitor, columns.amount_base, columns.score,
             columns.decision, columns.reasons)  # fmt: skip
    found = connection.execute(sa.select(*shown).order_by(columns.event_time.desc()).limit(ROWS))
    rows = [(*row[:-1], reasons_of(row[-1])) for row in _rows(found)]
    return ("event_time", "transaction_id", "visitor", "amount_base", "score", "decision", "reasons"), rows


def reasons_of(reasons: Any) -> str:
    """What speaks for fraud, in words: features with their value and the usual one."""
    told = json.loads(reasons) if isinstance(reasons, str) else reasons or ()
    return ", ".join(f"{each['feature']} {_told(each.get('value'))}, usual {_told(each.get('usual'))}" for each in told)


def _told(value: Any) -> str:
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _rows(found: Any) -> list[Row]:
    return [tuple(_cell(value) for value in row) for row in found]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, str) and len(value) == len("2025-01-01T00:00:00.000Z") and value.endswith("Z"):
        return value[:19].replace("T", " ")
    return value


def _time(value: str | datetime) -> datetime:
    """A time as the database gives it: SQLite has text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _at(connection: sa.Connection, moment: datetime) -> Any:
    """A time to compare with, as the database has times: SQLite has text."""
    return moment if connection.dialect.name != SQLITE else moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
