"""What the warehouse says of the shop: KPIs, incidents, funnel, abandoned carts, fraud. One bounded query per panel."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.io.sinks.database import SQLITE

ROWS: Final = 50
"""Rows of a list at the most."""

WINDOWS: Final = 180
"""Windows of a KPI that its chart shows."""

KPIS: Final = ("revenue", "orders", "active_visitors", "conversion_rate", "average_order_value", "page_views")
"""Metrics that are drawn, as far as they are there."""

WINDOW: Final = "1m"
WHOLE: Final = "{}"
_STEP: Final = timedelta(minutes=1)
_WEEK: Final = timedelta(days=7)

Row = Sequence[Any]


@dataclass(frozen=True)
class Panel:
    """A list.

    Attributes:
        rows: of cells; a None is shown as unknown.
        why: what an empty list means.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    why: str = ""


@dataclass(frozen=True)
class Kpi:
    """A metric over its last windows, oldest first.

    Attributes:
        values: None for a window without one.
        final: whether each window is; others may still change.
        before: the same windows a week earlier.
    """

    name: str
    unit: str
    starts: Sequence[str]
    values: Sequence[float | None]
    final: Sequence[bool]
    before: Sequence[float | None]

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
FUNNELS: Final = _columns(
    "funnels", "funnel", "mode", "scope", "segment", "stage", "stage_index", "window_start", "entered"
)
CARTS: Final = _columns(
    "abandonment_alerts", "visitor", "user_id", "kind", "status", "value_base", "abandoned_at", "order_id"
)
FLAGGED: Final = _columns(
    "flagged_transactions", "event_time", "transaction_id", "visitor", "amount_base", "score", "decision", "reasons"
)


def read_shop(engine: sa.Engine) -> tuple[list[Kpi], list[Panel]]:
    """All panels; one whose table is not there, or cannot be read, says why."""
    with engine.connect() as connection:
        there = set(sa.inspect(connection).get_table_names())
        kpis = [kpi for name in KPIS if (kpi := _kpi(connection, name))] if "metrics" in there else []
        panels = [
            _panel(connection, there, "metric_alerts", "Incidents", "no rule has fired", _incidents),
            _panel(connection, there, "funnels", "Funnel of the last day", "no window is over yet", _funnel),
            _panel(connection, there, "abandonment_alerts", "Abandoned carts", "no cart was left", _carts),
            _panel(connection, there, "flagged_transactions", "Transactions to look at", "nothing was flagged", _fraud),
        ]
    return kpis, panels


Read = Callable[[sa.Connection], tuple[Sequence[str], Sequence[Row]]]


def _panel(connection: sa.Connection, there: set[str], table: str, title: str, empty: str, read: Read) -> Panel:
    if table not in there:
        return Panel(title, (), (), f"N/A because the warehouse has no table {table} yet")
    try:
        columns, rows = read(connection)
    except SQLAlchemyError as error:
        return Panel(title, (), (), f"N/A because {table} cannot be read: {str(error).splitlines()[0]}")
    return Panel(title, columns, rows, "" if rows else empty)


def _kpi(connection: sa.Connection, name: str) -> Kpi | None:
    """The total of a metric; of several currencies the first."""
    columns = METRICS.c
    mine = sa.and_(columns.metric == name, columns.window_size == WINDOW, columns.dimensions == WHOLE)
    asked = sa.select(columns.window_start, columns.value, columns.final, columns.currency).where(mine)
    newest = connection.execute(asked.order_by(columns.window_start.desc()).limit(1)).first()
    if newest is None:
        return None
    last, currency = _time(newest.window_start), newest.currency
    starts = [last - (WINDOWS - 1 - number) * _STEP for number in range(WINDOWS)]

    def between(first: datetime, last: datetime) -> dict[datetime, Any]:
        within = columns.window_start.between(_at(connection, first), _at(connection, last))
        rows = connection.execute(asked.where(within)).all()
        return {_time(row.window_start): row for row in rows if row.currency == currency}

    found, before = between(starts[0], last), between(starts[0] - _WEEK, last - _WEEK)
    return Kpi(
        name,
        currency or "",
        [start.strftime("%Y-%m-%d %H:%M") for start in starts],
        [_number(found[start].value) if start in found else None for start in starts],
        [start not in found or bool(found[start].final) for start in starts],
        [_number(before[start - _WEEK].value) if start - _WEEK in before else None for start in starts],
    )


def _incidents(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = METRIC_ALERTS.c
    shown = (columns.since, columns.rule, columns.severity, columns.state, columns.metric, columns.value, columns.until)
    found = connection.execute(sa.select(*shown).order_by(columns.since.desc()).limit(ROWS))
    return ("since", "rule", "severity", "state", "metric", "value", "until"), _rows(found)


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
    return ("abandoned at", "kind", "status", "user", "visitor", "value"), _rows(found)


def _fraud(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = FLAGGED.c
    shown = (columns.event_time, columns.transaction_id, columns.visitor, columns.amount_base, columns.score,
             columns.decision, columns.reasons)  # fmt: skip
    found = connection.execute(sa.select(*shown).order_by(columns.event_time.desc()).limit(ROWS))
    rows = [(*row[:-1], reasons_of(row[-1])) for row in _rows(found)]
    return ("time", "transaction", "visitor", "amount", "score", "decision", "reasons"), rows


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
