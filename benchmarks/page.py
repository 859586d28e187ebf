"""The live page against a warehouse of many rows: time of each panel's query, and of the whole page."""

import json
import tempfile
import time
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from benchmarks.measure import table
from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.sinks.database import open_engine
from ecompulse.io.sinks.warehouse_schema import table_of
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA
from ecompulse.ui.kpis import KPIS
from ecompulse.ui.shop import read_shop
from ecompulse.ui.view import View

ROWS: Final = 10_000_000
SERIES: Final = 200
"""Series of a metric, of which the total is one."""

_FILL: Final = """
WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < :rows - 1)
INSERT INTO metrics (id, job, metric, window_size, window_start, dimensions, value, final, revision)
SELECT printf('%032x', n), 'realtime_metrics', json_extract(:names, '$[' || (n % :metrics) || ']'), :window,
       strftime('%Y-%m-%dT%H:%M:00.000Z', 1700000000 + n / (:metrics * :series) * 60, 'unixepoch'),
       CASE n / :metrics % :series WHEN 0 THEN '{}' ELSE '{"country": "' || (n / :metrics % :series) || '"}' END,
       n % 1000, 1, 1
FROM number
"""


def fill(engine: sa.Engine, rows: int) -> None:
    """A table of metrics of many series, minute by minute."""
    spec = TableSpec("metrics", METRIC_SCHEMA, "window_start", warehouse=True, asked_by=("metric", "window_size"))
    with engine.begin() as connection:
        table_of(spec).create(connection)
        given = {
            "rows": rows,
            "names": json.dumps(KPIS),
            "metrics": len(KPIS),
            "window": View().window,
            "series": SERIES,
        }
        connection.execute(sa.text(_FILL), given)


def run(rows: int = ROWS) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'w.db'}")
        fill(engine, rows)
        found = []
        for attempt in ("first", "again"):
            began, cpu = time.perf_counter(), time.process_time()
            kpis, _ = read_shop(engine, View())
            spent = (time.perf_counter() - began, time.process_time() - cpu)
            found.append((f"{rows:,}", attempt, len(kpis), *(f"{1000 * seconds / len(kpis):.0f}" for seconds in spent)))
        table(("rows", "read", "KPIs", "ms of wall a KPI", "ms of CPU a KPI"), found)
