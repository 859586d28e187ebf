"""What the warehouse says of the shop: KPIs, incidents, funnel, abandoned carts, fraud. One bounded query per panel."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.ui.kpis import (
    ANOMALIES,
    KPIS,
    METRIC_ALERTS,
    METRICS,
    Kpi,
    newest_window,
    read_kpi,
)
from ecompulse.ui.rows import ROWS, Row, as_stored, as_time, shown_rows, table_of
from ecompulse.ui.view import View

_DAYS: Final = 14


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


QUALITY: Final = table_of("data_quality", "check_name", "window_start", "count", "rows")
FUNNELS: Final = table_of(
    "funnels", "funnel", "mode", "scope", "segment", "stage", "stage_index", "window_start", "entered"
)
CARTS: Final = table_of(
    "abandonment_alerts", "visitor", "user_id", "kind", "status", "value_base", "abandoned_at", "order_id"
)
FLAGGED: Final = table_of(
    "flagged_transactions", "event_time", "transaction_id", "visitor", "amount_base", "score", "decision", "reasons"
)


def read_shop(engine: sa.Engine, view: View) -> tuple[list[Kpi], list[Panel]]:
    """All panels; one whose table is not there, or cannot be read, says why."""
    with engine.connect() as connection:
        there = set(sa.inspect(connection).get_table_names())
        last = newest_window(connection, view) if "metrics" in there else None
        kpis = [kpi for name in KPIS if (kpi := read_kpi(connection, there, name, view, last))] if last else []
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


Read = Callable[[sa.Connection], tuple[Sequence[str], Sequence[Row]]]


def _panel(connection: sa.Connection, there: set[str], table: str, title: str, empty: str, read: Read) -> Panel:
    if table not in there:
        return Panel(title, (), (), f"N/A because the warehouse has no table {table} yet")
    try:
        columns, rows = read(connection)
    except SQLAlchemyError as error:
        return Panel(title, (), (), f"N/A because {table} cannot be read: {str(error).splitlines()[0]}")
    return Panel(title, columns, rows, "" if rows else empty, table)


def _incidents(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = METRIC_ALERTS.c
    shown = (columns.since, columns.rule, columns.severity, columns.state, columns.metric, columns.value, columns.until)
    found = connection.execute(sa.select(*shown).order_by(columns.since.desc()).limit(ROWS))
    return ("since", "rule", "severity", "state", "metric", "value", "until"), shown_rows(found)


def _anomalies(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = ANOMALIES.c
    shown = (columns.window_end, columns.metric, columns.dimensions, columns.kind, columns.severity, columns.state,
             columns.value, columns.expected_low, columns.expected_high)  # fmt: skip
    found = connection.execute(sa.select(*shown).order_by(columns.window_end.desc()).limit(ROWS))
    names = ("window end", "metric", "of", "kind", "severity", "state", "value", "expected from", "to")
    return names, [tuple(_decimal(cell) for cell in row) for row in shown_rows(found)]


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
        .where(columns.window_start.between(as_stored(connection, first), as_stored(connection, last)))
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
        .where(columns.window_start > as_stored(connection, as_time(last) - timedelta(days=_DAYS)))
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
    since = as_stored(connection, as_time(last) - timedelta(days=1))
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
    return ("abandoned_at", "kind", "status", "user_id", "visitor", "value_base"), shown_rows(found)


def _fraud(connection: sa.Connection) -> tuple[Sequence[str], Sequence[Row]]:
    columns = FLAGGED.c
    shown = (columns.event_time, columns.transaction_id, columns.visitor, columns.amount_base, columns.score,
             columns.decision, columns.reasons)  # fmt: skip
    found = connection.execute(sa.select(*shown).order_by(columns.event_time.desc()).limit(ROWS))
    rows = [(*row[:-1], reasons_of(row[-1])) for row in shown_rows(found)]
    return ("event_time", "transaction_id", "visitor", "amount_base", "score", "decision", "reasons"), rows


def reasons_of(reasons: Any) -> str:
    """What speaks for fraud, in words: features with their value and the usual one."""
    told = json.loads(reasons) if isinstance(reasons, str) else reasons or ()
    return ", ".join(f"{each['feature']} {_told(each.get('value'))}, usual {_told(each.get('usual'))}" for each in told)


def _told(value: Any) -> str:
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
