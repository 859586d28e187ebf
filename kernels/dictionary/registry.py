"""The registry of tables; a job of your own registers its tables as the shipped ones are."""

from typing import Final

from ecompulse.kernels.dictionary.column import About, Column
from ecompulse.kernels.dictionary.events import DATA_QUALITY, DEAD_LETTERS, ENRICHED_EVENTS, LATE_EVENTS
from ecompulse.kernels.dictionary.fraud import FLAGGED_TRANSACTIONS, RISK_SCORES
from ecompulse.kernels.dictionary.kpis import ANOMALY_ALERTS, METRIC_ALERTS, METRICS
from ecompulse.kernels.dictionary.visitors import (
    ABANDONMENT_ALERTS,
    FUNNELS,
    PAGE_TRANSITIONS,
    SESSION_EVENTS,
    SESSIONS,
)

_TABLES: Final[dict[str, About]] = {
    "enriched_events": ENRICHED_EVENTS,
    "sessions": SESSIONS,
    "session_events": SESSION_EVENTS,
    "funnels": FUNNELS,
    "abandonment_alerts": ABANDONMENT_ALERTS,
    "page_transitions": PAGE_TRANSITIONS,
    "metrics": METRICS,
    "metric_alerts": METRIC_ALERTS,
    "anomaly_alerts": ANOMALY_ALERTS,
    "risk_scores": RISK_SCORES,
    "flagged_transactions": FLAGGED_TRANSACTIONS,
    "dead_letters": DEAD_LETTERS,
    "late_events": LATE_EVENTS,
    "data_quality": DATA_QUALITY,
}
_UNKNOWN: Final = About("")


def register(table: str, about: About) -> None:
    """Say what a table of your own holds; said again, it is said anew."""
    _TABLES[table] = about


def about(table: str) -> About:
    """What a table holds; an empty description of one that nobody has registered."""
    return _TABLES.get(table, _UNKNOWN)


def described() -> tuple[str, ...]:
    """The tables that are described, in the order of documents."""
    return tuple(_TABLES)


def comment_of(table: str, column: str) -> str:
    """The comment that stores keep beside a column; empty for one that nobody has described."""
    found: Column | None = about(table).column(column)
    return found.comment if found else ""
