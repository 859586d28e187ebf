"""What is planted in the simulated shop and found by the whole job: frauds and KPI incidents, delay and false alarms.

Frauds: three kinds on each of six days, 8,000 events and some 250 payments a day, labels after one to seven days
(refused payments after an hour), the alerts of the sixth day. Incidents: four in 13 days of 40,000 events without
crawlers, six series of 5 minutes, false alarms from the third day on.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl
from deltalake import DeltaTable

from benchmarks.measure import process, table
from ecompulse.simulator.episodes import CheckoutOutage
from ecompulse.simulator.frauds import each_day
from ecompulse.simulator.incidents import PriceError, SearchOutage, TrafficCollapse
from ecompulse.simulator.settings import DAY_MS, HOUR_MS, Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import enrichment, write

SEEDS: Final = (1, 2, 3)
FRAUD_DAYS: Final = 6
KPI_DAYS: Final = 13
LEARNING: Final = 2
"""Days at first whose false alarms of KPIs do not count."""

MINUTE: Final = 60_000
INCIDENTS: Final = (
    TrafficCollapse(9 * DAY_MS + 10 * HOUR_MS),
    SearchOutage(10 * DAY_MS + 14 * HOUR_MS),
    PriceError(11 * DAY_MS + 11 * HOUR_MS),
    CheckoutOutage(12 * DAY_MS + 15 * HOUR_MS, HOUR_MS),
)
VALUE: Final = '"coalesce(quantity, 1) * price - coalesce(discount, 0)"'
METRICS: Final = f"""
metrics:
  page_views:
    {{filter: "event_type in ('page_view', 'product_view')", measure: count, windows: &windows [tumbling 5m]}}
  active_visitors: {{measure: {{distinct: anonymous_id}}, windows: *windows}}
  orders: {{filter: event_type == 'purchase', measure: {{distinct: order_id}}, windows: *windows}}
  revenue: {{filter: "event_type == 'purchase' and currency == 'EUR'", measure: {{sum: {VALUE}}}, windows: *windows}}
  searches_without_result:
    {{filter: "event_type == 'search' and properties.results == 0", measure: count, windows: *windows}}
  payment_failures:
    {{filter: "event_type == 'payment' and payment_status == 'failed'", measure: count, windows: *windows}}
"""
SERIES: Final = "page_views,active_visitors,orders,revenue,searches_without_result,payment_failures"


def run() -> None:
    """Print both tables."""
    rows = [row for seed in SEEDS for row in frauds(seed)]
    table(["seed", "fraud", "alerts, of payments", "first after, minutes", "false alarms on the day"], rows)
    print()
    rows = [row for seed in SEEDS for row in incidents(seed)]
    table(["seed", "incident", "found after, minutes", "by", "false alarms per day"], rows)


def frauds(seed: int) -> Iterator[tuple[Any, ...]]:
    """Of the last day: each kind of fraud, and how many alerts were none."""
    shop = Settings(
        seed=seed, events=8_000 * FRAUD_DAYS, duration_ms=FRAUD_DAYS * DAY_MS, episodes=each_day(FRAUD_DAYS)
    )
    flags = ("--detect=fraud", "--label_wait=1h", "--label_horizon=2d", "--alerts_per_day=40")
    scores, labels = detected(shop, "risk_scores", flags, labelled=True)
    began = shop.start_ms + (FRAUD_DAYS - 1) * DAY_MS
    labels = labels.filter(pl.col("since") >= began)
    flagged = scores.filter(pl.col("decision") == "flag", pl.col("event_time").dt.epoch("ms") >= began)
    flagged = flagged.join(labels, on="transaction_id", how="left")
    wrong = flagged["episode"].null_count()
    for (kind,), mine in labels.group_by("episode", maintain_order=True):
        hits = flagged.filter(pl.col("episode") == kind)
        first = hits["event_time"].dt.epoch("ms").min()
        delay = f"{(int(first) - mine['since'][0]) / MINUTE:.1f}" if isinstance(first, int) else "missed"
        yield seed, kind, f"{hits.height} of {mine.height}", delay, wrong


def incidents(seed: int) -> Iterator[tuple[Any, ...]]:
    """Each incident, by what and when it was found, and how many fired for nothing."""
    shop = Settings(seed=seed, bots=0.0, events=40_000 * KPI_DAYS, duration_ms=KPI_DAYS * DAY_MS, episodes=INCIDENTS)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as metrics:
        metrics.write(METRICS)
        metrics.flush()
        flags = ("--detect=kpi", f"--metrics={metrics.name}", f"--kpi_metrics={SERIES}")
        alerts, labels = detected(shop, "anomaly_alerts", flags)
    fired = alerts.filter(pl.col("state") == "firing").with_columns(at=pl.col("since").dt.epoch("ms"))
    counted = fired.filter(pl.col("at") >= shop.start_ms + LEARNING * DAY_MS)
    found = [of_incident(label, fired) for label in labels.to_dicts()]
    right = pl.concat([of_incident(label, counted) for label in labels.to_dicts()])["incident_id"].n_unique()
    rate = f"{(counted['incident_id'].n_unique() - right) / (KPI_DAYS - LEARNING):.1f}"
    for label, hits in zip(labels.to_dicts(), found, strict=True):
        first = hits.sort("at").head(1)
        delay = f"{(first['at'][0] - label['since']) / MINUTE:.0f}" if hits.height else "missed"
        yield seed, label["episode"], delay, ", ".join(sorted(set(hits["metric"]))), rate


def of_incident(label: dict[str, Any], fired: pl.DataFrame) -> pl.DataFrame:
    """What fired while it lasted, or ten minutes later."""
    return fired.filter(pl.col("at").is_between(label["since"], label["until"] + 10 * MINUTE))


def detected(
    shop: Settings, name: str, flags: tuple[str, ...], *, labelled: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A table that the job has written, and the labels of the shop (times in UTC ms)."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write(simulate(shop), folder / "shop")
        (folder / "enrich.yaml").write_text(json.dumps(enrichment(folder / "shop")))
        where = [f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'c'}", "--warehouse=none", "--progress=none"]
        source = [f"--source={folder / 'shop' / 'events'}", f"--enrich={folder / 'enrich.yaml'}", "--drain"]
        labels = folder / "shop" / "labels.jsonl"
        more = [f"--labels={labels}"] if labelled else []
        process(["-m", "pipelines.anomaly_detection", *source, *where, *flags, *more], folder)
        found = pl.from_arrow(DeltaTable(str(folder / "lake" / name)).to_pyarrow_table())
        told = pl.read_ndjson(labels, infer_schema_length=None)
    assert isinstance(found, pl.DataFrame)  # noqa: S101  # a table
    times = [pl.col(key).str.to_datetime(time_zone="UTC").dt.epoch("ms") for key in ("since", "until")]
    return found, told.with_columns(times)
