"""What the warehouse says of the shop: KPIs, incidents, funnel, abandoned carts, fraud. One bounded query per panel."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ecompulse.kernels.alerts.incidents import FIRING
from ecompulse.ui.kpis import (
    ANOMALIES,
    KPIS,
    METRIC_ALERTS,
    METRICS,
    Kpi,
    newest_window,
    read_kpi,
)
from ecompulse.ui.quality import read_quality
from ecompulse.ui.rows import ROWS, Row, as_stored, as_time, shown_rows, table_of, within
from ecompulse.ui.view import View
from ecompulse.ui.words import Amount, as_amount

_TURNS: Final = 4  # rows of an incident that are looked through, for each that is shown


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

        def panel(table: str, title: str, empty: str, read: Read) -> Panel:
            return _panel(connection, there, table, title, empty, view, read)

        panels = [
            panel("metric_alerts", "Incidents", "no rule has fired", _incidents),
            panel("anomaly_alerts", "Anomalies of KPIs", "nothing was unusual", _anomalies),
            panel(
                "metrics", f"Revenue by {view.by}", f"no revenue_by_{view.by} in these hours",
                lambda connection, view: _revenue_by(connection, view, last),
            ),
            panel("funnels", "Funnel of the last day", "no window is over yet", _funnel),
            panel("abandonment_alerts", "Abandoned carts", "no cart was left", _carts),
            panel("flagged_transactions", "Transactions to look at", "nothing was flagged", _fraud),
            panel("data_quality", "Quality of the input by day", "no window is over yet", read_quality),
        ]  # fmt: skip
    return kpis, panels


Read = Callable[[sa.Connection, View], tuple[Sequence[str], Sequence[Row]]]


def _panel(
    connection: sa.Connection, there: set[str], table: str, title: str, empty: str, view: View, read: Read
) -> Panel:
    if table not in there:
        return Panel(title, (), (), f"N/A because the warehouse has no table {table} yet")
    try:
        columns, rows = read(connection, view)
    except SQLAlchemyError as error:
        return Panel(title, (), (), f"N/A because {table} cannot be read: {str(error).splitlines()[0]}")
    return Panel(title, columns, rows, "" if rows else empty, table)


def _incidents(connection: sa.Connection, view: View) -> tuple[Sequence[str], Sequence[Row]]:
    names = ("since", "rule", "severity", "state", "metric", "value", "until")
    return names, shown_rows(_latest(connection, view, METRIC_ALERTS, "since", names))


def _anomalies(connection: sa.Connection, view: View) -> tuple[Sequence[str], Sequence[Row]]:
    shown = (
        "window_end",
        "metric",
        "dimensions",
        "kind",
        "severity",
        "state",
        "value",
        "expected_low",
        "expected_high",
    )
    found = shown_rows(_latest(connection, view, ANOMALIES, "window_end", shown))
    names = ("window end", "metric", "dimensions", "kind", "severity", "state", "value", "expected from", "to")
    return names, [(end, metric, _told_dimensions(of), *map(_decimal, rest)) for end, metric, of, *rest in found]


def _latest(connection: sa.Connection, view: View, table: Any, time: str, shown: Sequence[str]) -> Sequence[Row]:
    """Incidents of the view, the newest first, each as it ended if it has."""
    columns = table.c
    asked = (
        sa.select(columns.incident_id, *(columns[name] for name in shown))
        .where(within(connection, columns[time], view))
        .order_by(columns[time].desc(), columns.state == FIRING)
        .limit(_TURNS * ROWS)
    )
    found: dict[str, Row] = {}
    for incident, *row in connection.execute(asked):
        found.setdefault(incident, row)
    return list(found.values())[:ROWS]


def _told_dimensions(dimensions: str) -> str:
    """Dimensions in words, from their JSON text."""
    values = json.loads(dimensions)
    return ", ".join(f"{name} {'unknown' if value is None else value}" for name, value in values.items()) or "all"


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
    total = sa.func.sum(sa.cast(columns.value, sa.Numeric))
    whole = sa.func.sum(total).over(partition_by=columns.currency)  # also of what the list is too short for
    asked = (
        sa.select(columns.dimensions, columns.currency, total.label("total"), whole)
        .where(columns.metric == f"revenue_by_{view.by}", columns.window_size == "10m", columns.value.is_not(None))
        .where(columns.window_start.between(as_stored(connection, first), as_stored(connection, last)))
        .group_by(columns.dimensions, columns.currency)
        .order_by(sa.desc("total"))
        .limit(ROWS)
    )
    rows = [
        (json.loads(dimensions).get(view.by) or "unknown", currency, Amount(mine), f"{mine / of:.1%}" if of else None)
        for dimensions, currency, mine, of in connection.execute(asked)
    ]
    return (view.by, "currency", "revenue", "share"), rows


def _funnel(connection: sa.Connection, view: View) -> tuple[Sequence[str], Sequence[Row]]:
    columns = FUNNELS.c
    here = within(connection, columns.window_start, view)
    last = connection.scalar(sa.select(sa.func.max(columns.window_start)).where(here))
    if last is None:
        return (), ()
    since = as_stored(connection, as_time(last) - timedelta(days=1))
    asked = (
        sa.select(columns.stage, sa.func.min(columns.stage_index).label("place"), sa.func.sum(columns.entered))
        .where(here, columns.window_start > since, columns.scope == "session", columns.segment == "all")
        .where(columns.mode == sa.select(sa.func.min(columns.mode)).scalar_subquery())
        .group_by(columns.stage)
        .order_by("place")
    )
    stages = connection.execute(asked).all()
    first = int(stages[0][2]) if stages else 0
    rows = [(stage, int(entered), f"{entered / first:.1%}" if first else None) for stage, _, entered in stages]
    return ("stage", "entered", "of the first"), rows


def _carts(connection: sa.Connection, view: View) -> tuple[Sequence[str], Sequence[Row]]:
    columns = CARTS.c
    shown = (columns.abandoned_at, columns.kind, columns.status, columns.user_id, columns.visitor, columns.value_base)
    asked = sa.select(*shown).where(within(connection, columns.abandoned_at, view))
    found = connection.execute(asked.order_by(columns.abandoned_at.desc()).limit(ROWS))
    rows = [(*row, as_amount(value)) for *row, value in shown_rows(found)]
    return ("abandoned_at", "kind", "status", "user_id", "visitor", "value_base"), rows


def _fraud(connection: sa.Connection, view: View) -> tuple[Sequence[str], Sequence[Row]]:
    columns = FLAGGED.c
    shown = (columns.event_time, columns.transaction_id, columns.visitor, columns.amount_base, columns.score,
             columns.decision, columns.reasons)  # fmt: skip
    asked = sa.select(*shown).where(within(connection, columns.event_time, view))
    found = connection.execute(asked.order_by(columns.event_time.desc()).limit(ROWS))
    rows = [(*row, as_amount(amount), score, decision, reasons_of(why))
            for *row, amount, score, decision, why in shown_rows(found)]  # fmt: skip
    return ("event_time", "transaction_id", "visitor", "amount_base", "score", "decision", "reasons"), rows


def reasons_of(reasons: Any) -> str:
    """What speaks for fraud, in words: features with their value and the usual one."""
    told = json.loads(reasons) if isinstance(reasons, str) else reasons or ()
    return ", ".join(f"{each['feature']} {_told(each.get('value'))}, usual {_told(each.get('usual'))}" for each in told)


def _told(value: Any) -> str:
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
