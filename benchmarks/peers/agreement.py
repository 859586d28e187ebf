"""What two programs made of the same events, compared: figures of both, and how much of it is equal."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl

Facts = dict[str, float]
"""Figures by name."""

CLOSED_MS: Final = 40 * 60_000
"""A session this long before the last event is closed by any watermark: gap and delay."""


def compare_enrichment(ours: pl.LazyFrame, theirs: pl.LazyFrame) -> dict[str, Any]:
    """Rows of both, and over the events that both have: money, and how many found what they were looked up in.

    The others are rows that break a rule of ours (out of range, wrong type), for which a peer has no rule.
    """
    shared = [_facts(one.join(other, on="event_id", how="semi")) for one, other in ((ours, theirs), (theirs, ours))]
    names = ["ours", "theirs"]
    heights = {f"rows of {name}": _height(rows) for name, rows in zip(names, (ours, theirs), strict=True)}
    return {**heights, "of common events": dict(zip(names, shared, strict=True))}


def _facts(rows: pl.LazyFrame) -> Facts:
    names = rows.collect_schema()
    counted = {"users": "user_segment", "products": "product_title", "countries": "geo_country", "systems": "os"}
    counted["systems"] = "device_os" if "device_os" in names else "os"
    found = {name: pl.col(column).count() for name, column in counted.items() if column in names}
    price = pl.col("price_base").cast(pl.Float64).sum().round(2)
    return rows.select(rows=pl.len(), price_base=price, **found).collect().to_dicts()[0]


def _instant(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int64)


def sessions_of(rows: pl.LazyFrame) -> pl.DataFrame:
    """visitor, start and end (ms), events."""
    names = rows.collect_schema()
    moments = {
        name: _instant(name) if names[name] == pl.Int64 else pl.col(name).dt.epoch("ms")
        for name in ("session_start", "session_end")
    }
    return rows.select("visitor", **moments, events=pl.col("events").cast(pl.Int64)).collect()


def compare_sessions(ours: pl.DataFrame, theirs: pl.DataFrame, stitched: pl.Series, bound: int) -> dict[str, Any]:
    """Counts of sessions that both have, and of the others by reason.

    `stitched`: ids of visitors who had two; the job resolves them, no peer does. `bound`: end of what is closed by now.
    """
    key = ["visitor", "session_start", "session_end", "events"]
    equal = ours.join(theirs, on=key, how="semi")
    rest = pl.concat([ours.join(theirs, on=key, how="anti"), theirs.join(ours, on=key, how="anti")])
    two_ids = rest["visitor"].is_in(stitched.implode())
    still_open = ~two_ids & (rest["session_end"] > bound)
    return {
        "ours": ours.height, "theirs": theirs.height, "equal": equal.height, "of two ids": int(two_ids.sum()),
        "open at the end": int(still_open.sum()), "other": int((~two_ids & ~still_open).sum()),
    }  # fmt: skip


def stitched_ids(shop: Path) -> pl.Series:
    """Ids of devices on which somebody signed in, and of these users."""
    found: set[str] = set()
    for path in (shop / "events").iterdir():
        for line in path.read_bytes().splitlines():
            ids = _IDS.search(line)
            if ids:
                found |= {ids[1].decode(), ids[2].decode()}
    return pl.Series(sorted(found), dtype=pl.String)


def windows_of_ours(metrics: pl.LazyFrame) -> pl.DataFrame:
    """window, window_start (ms), page_views, revenue of the last revision, as peers write them."""
    kept = metrics.filter(pl.col("metric").is_in(["page_views", "revenue_gross"]) & (pl.col("dimensions") == "{}"))
    last = kept.sort("revision").unique("id", keep="last").collect()
    named = last.with_columns(
        window=pl.when(pl.col("window_size").str.contains("10m")).then(pl.lit("10m")).otherwise(pl.lit("1m")),
        window_start=pl.col("window_start").dt.epoch("ms"), value=pl.col("value").cast(pl.Float64),
    )  # fmt: skip
    wide = named.pivot("metric", index=["window", "window_start"], values="value").fill_null(0)
    return wide.rename({"revenue_gross": "revenue"}).filter((pl.col("page_views") > 0) | (pl.col("revenue") != 0))


def windows_of_peer(folder: Path) -> pl.DataFrame:
    """The same of a peer."""
    parts = []
    for name in ("1m", "10m"):
        rows = pl.scan_parquet(folder / name / "**/*.parquet")
        names = rows.collect_schema()
        if "window" in names and names["window"] != pl.String():
            rows = rows.with_columns(window_start=pl.col("window").struct.field("start"))
        start = pl.col("window_start")
        start = start.cast(pl.Int64) if names.get("window_start") == pl.Int64() else start.dt.epoch("ms")
        figures = [pl.col(figure).cast(pl.Float64).fill_null(0) for figure in ("page_views", "revenue")]
        parts.append(rows.select(pl.lit(name).alias("window"), start.alias("window_start"), *figures).collect())
    found = pl.concat(parts)
    return found.filter((pl.col("page_views") > 0) | (pl.col("revenue") != 0))


def compare_windows(ours: pl.DataFrame, theirs: pl.DataFrame) -> dict[str, Any]:
    """Counts of windows with equal page views and revenue (to a cent), sums of both."""
    both = ours.join(theirs, on=["window", "window_start"], how="full", coalesce=True)
    views = pl.col("page_views") == pl.col("page_views_right")
    revenue = (pl.col("revenue") - pl.col("revenue_right")).abs() < 0.01
    counted = both.select(equal=(views & revenue).sum(), seen=pl.col("page_views_right").count())
    views = [int(frame.filter(pl.col("window") == "1m")["page_views"].sum()) for frame in (ours, theirs)]
    near = both.select(((pl.col("page_views") - pl.col("page_views_right")).abs() <= 1).sum()).item()
    return {
        "ours": ours.height, "theirs": theirs.height, "equal": counted["equal"][0],
        "page views differ by at most one": near, "page views": views,
    }  # fmt: skip


def compare_scores(ours: pl.LazyFrame, theirs: pl.LazyFrame) -> dict[str, Any]:
    """Scored payments; scores themselves are of different models."""
    return {"ours": _height(ours), "theirs": _height(theirs)}


def _height(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())


def compare(job: str, lake: Path, out: Path, shop: Path) -> dict[str, Any]:
    """Our lake beside what a peer has written."""

    def table(name: str) -> pl.LazyFrame:
        return pl.scan_delta(str(lake / name))

    def rows() -> pl.LazyFrame:
        return pl.scan_parquet(out / "rows" / "**/*.parquet", extra_columns="ignore", missing_columns="insert")

    def enrichment() -> dict[str, Any]:
        return compare_enrichment(table("enriched_events"), rows())

    def sessions() -> dict[str, Any]:
        ours = sessions_of(table("sessions").filter("final"))
        return compare_sessions(ours, sessions_of(rows()), stitched_ids(shop), ours["session_end"].max() - CLOSED_MS)

    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "event_enrichment": enrichment,
        "session_analytics": sessions,
        "realtime_metrics": lambda: compare_windows(windows_of_ours(table("metrics")), windows_of_peer(out)),
        "anomaly_detection": lambda: compare_scores(table("risk_scores"), rows()),
    }
    return ways[job]()


_IDS: Final = re.compile(rb'"user_id":"(\w+)","anonymous_id":"(\w+)"')
"""As the simulator writes them."""
