"""What the demo's report shows, read from its own lake."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from ecompulse.cli.show import ask
from ecompulse.io.delta.lake import Lake
from ecompulse.ui.report import Listing, Plot, Report
from ecompulse.ui.words import Amount

NAME: Final = "report.html"

_SESSIONS: Final = """SELECT strftime(date_trunc('hour', session_start), '%H:%M') AS hour, count(*) AS sessions,
    count(*) FILTER (converted) AS converted FROM sessions_latest GROUP BY 1 ORDER BY 1"""
_FUNNEL: Final = """SELECT stage, sum(entered) AS entered FROM funnels_latest
    WHERE scope = 'session' AND mode = 'open' AND segment = 'all' GROUP BY stage, stage_index ORDER BY stage_index"""
_KPI: Final = """SELECT strftime(date_trunc('hour', window_start), '%H:%M') AS hour, sum(value)::DOUBLE AS value,
    any_value(currency) AS currency FROM metrics_latest
    WHERE metric = '{}' AND window_size = '1m' AND dimensions = '{{}}' GROUP BY 1 ORDER BY 1"""
_COUNTRIES: Final = """SELECT coalesce(json_extract_string(dimensions, '$.country'), 'unknown') AS country,
    sum(value)::DECIMAL(18, 2) AS revenue, any_value(currency) AS currency FROM metrics_latest
    WHERE metric = 'revenue_by_country' GROUP BY 1 ORDER BY 2 DESC"""
_INCIDENTS: Final = """SELECT rule AS what, severity, min(since) AS since, max(until) AS until FROM metric_alerts_latest
    GROUP BY incident_id, rule, severity
    UNION ALL SELECT concat(kind, ' of ', metric), max(severity), min(since),
    max(window_end) FILTER (state = 'recovered') FROM anomaly_alerts_latest GROUP BY incident_id, kind, metric
    ORDER BY since"""
_DEAD: Final = """SELECT rule, count(DISTINCT (source, source_partition, source_offset)) AS lines,
    any_value(message) AS example FROM dead_letters GROUP BY 1 ORDER BY 2 DESC, 1"""
_AFTER: Final = timedelta(minutes=30)
_MOST: Final = 50  # rows in a list


def write_report(out: Path, jobs: Mapping[str, Sequence[Mapping[str, Any]]], lines: int) -> Path:
    """Write the report of a demo; returns where it is.

    Args:
        out: folder of the demo.
        jobs: progress of each epoch, by job.
        lines: that were simulated.
    """
    lake = Lake(str(out / "lake"))
    planted = planted_in(out / "shop")
    rows = sum(epoch["numInputRows"] for epochs in jobs.values() for epoch in epochs)
    throughput = [_throughput(name, epochs) for name, epochs in jobs.items()]
    lead = f"{lines:,} lines were simulated; {len(jobs)} jobs read {rows:,} rows, each job each line."
    tables = [_found(lake, planted), _fraud(lake, out), *_lists(lake)]
    report = Report("A day in a shop", lead, [*throughput, *_shop(lake), *tables])
    path = out / NAME
    path.write_text(report.html(), "utf-8")
    return path


def _throughput(job: str, epochs: Sequence[Mapping[str, Any]]) -> Plot:
    labels = [f"epoch {epoch['batchId']}" for epoch in epochs]
    return Plot(
        f"{job}: rows a second, by epoch", labels, {"rows": [epoch["processedRowsPerSecond"] for epoch in epochs]}
    )


def _shop(lake: Lake) -> list[Plot]:
    sessions, funnel = ask(lake, _SESSIONS, 100), ask(lake, _FUNNEL, 100)
    hours = sessions["hour"].to_list()
    plots = [
        Plot("Sessions by hour", hours, {name: _floats(sessions[name]) for name in ("sessions", "converted")}),
        Plot(
            "Funnel within sessions", funnel["stage"].to_list(), {"entered": _floats(funnel["entered"])}, stacked=True
        ),
    ]
    for name in ("revenue", "orders", "page_views"):
        found = ask(lake, _KPI.format(name), 100)
        unit = next((f", {currency}" for currency in found["currency"] if currency), "")
        title = f"{name.replace('_', ' ').capitalize()} by hour{unit}"
        plots.append(Plot(title, found["hour"].to_list(), {name.replace("_", " "): _floats(found["value"])}))
    return plots


def _floats(values: pl.Series) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


def planted_in(shop: Path) -> pl.DataFrame:
    """What the simulator has planted: `episode`, `kind`, `since`, `until` (UTC), an episode a row."""
    told = [json.loads(line) for line in (shop / "labels.jsonl").read_text().splitlines()]
    schema = dict.fromkeys(("episode", "kind", "since", "until"), pl.String)
    rows = [{name: label.get(name) for name in schema} for label in told if label.get("episode")]
    times = [pl.col(name).str.to_datetime(time_zone="UTC") for name in ("since", "until")]
    frame = pl.DataFrame(rows, schema=schema).with_columns(times)
    return frame.filter(pl.col("since").is_not_null()).group_by("episode", "kind", "since", maintain_order=True).agg(
        pl.col("until").max()
    )  # fmt: skip


def _found(lake: Lake, planted: pl.DataFrame) -> Listing:
    """Each planted episode, and what fired while it lasted or within half an hour of its end."""
    incidents = ask(lake, _INCIDENTS, 10_000).with_columns(pl.col("since").dt.convert_time_zone("UTC"))
    rows = []
    for episode in planted.filter(pl.col("kind") == "kpi").iter_rows(named=True):
        near = incidents.filter(pl.col("since").is_between(episode["since"], episode["until"] + _AFTER))
        said = ", ".join(near["what"].unique(maintain_order=True)) or "nothing"
        rows.append((episode["episode"], _moment(episode["since"]), _moment(episode["until"]), said))
    return Listing("Planted in the figures, and what fired meanwhile", ("planted", "from", "until", "fired"), rows)


def _fraud(lake: Lake, out: Path) -> Listing:
    """Planted frauds by kind: how many there are, were recognised, and are to be looked at.

    A card that tries a hundred payments is looked at once: the others are suppressed, which is recognised too.
    """
    told = [json.loads(line) for line in (out / "shop" / "labels.jsonl").read_text().splitlines()]
    scored = ask(lake, "SELECT transaction_id, decision FROM risk_scores WHERE decision <> 'pass'", 1_000_000)
    decisions = dict(scored.select("transaction_id", "decision").iter_rows())
    kinds: dict[str, set[str]] = {}
    for label in told:
        if label.get("kind") == "fraud":
            kinds.setdefault(str(label.get("episode") or "fraud"), set()).add(str(label["transaction_id"]))
    rows = []
    for kind, ids in sorted(kinds.items()):
        recognised = [decisions[one] for one in ids if one in decisions]
        alerts = sum(decision != "suppressed" for decision in recognised)
        rows.append((kind, len(ids), len(recognised), alerts))
    return Listing(
        "Planted frauds, on a model's first day",
        ("planted", "transactions", "recognised", "of these to look at"),
        rows,
        "no fraud was planted",
    )


def _lists(lake: Lake) -> list[Listing]:
    countries = [
        (country, Amount(revenue), currency) for country, revenue, currency in ask(lake, _COUNTRIES, _MOST).rows()
    ]
    incidents = ask(lake, _INCIDENTS, _MOST)
    fired = [(what, how, _moment(since), _moment(until)) for what, how, since, until in incidents.rows()]
    dead = ask(lake, _DEAD, _MOST)
    return [
        Listing("Revenue by country", ("country", "revenue", "currency"), countries),
        Listing("Incidents", ("what", "severity", "since", "until"), fired),
        Listing("Dead letters by rule, each line once", ("rule", "lines", "example"), dead.rows()),
    ]  # fmt: skip


def _moment(value: Any) -> str:
    return "" if value is None else value.strftime("%H:%M:%S")
