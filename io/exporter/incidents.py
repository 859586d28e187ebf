"""Incidents of the shop that are open, as far as this process has seen them begin."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.io.alerts.alert import FIRING

RULES: Final = {"metric_alerts": "rule", "anomaly_alerts": "kind"}
"""Table to the column that says what fired."""


@dataclass
class OpenIncidents:
    """Counts incidents by table, rule and metric.

    Attributes:
        show: called with a count and its labels, whenever it has changed; a count stays when it has become 0.
    """

    show: Callable[[int, dict[str, str]], None]
    _open: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)

    def take(self, table: str, rows: pl.DataFrame) -> None:
        """Rows of a table of alerts, of one epoch."""
        turns = rows.select("incident_id", RULES[table], "metric", fires=pl.col("state") == FIRING).sort("fires")
        ended = set(turns.filter(~pl.col("fires"))["incident_id"])
        for incident, rule, metric, fires in turns.iter_rows():
            known = self._open.setdefault((table, rule, metric), set())
            if fires and incident not in ended:  # else it has begun and ended in one epoch
                known.add(incident)
            else:
                known.discard(incident)
            self.show(len(known), {"table": table, "rule": rule, "metric": metric})
