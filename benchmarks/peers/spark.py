"""What a user of PySpark writes who has Structured Streaming and no ecompulse: JOB SHOP OUT, as a program of its own.

Each query reads the shop's JSON lines once (`availableNow`), keeps its state in Spark and writes Parquet. None has dead
letters, data quality, late rows, bots or a lake with transactions; what more each leaves out its docstring says. A
fourth argument is a trigger (`1 second`): then it runs until it is ended.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from benchmarks.peers.rows import Place, agent_of

FIELDS: Final = (
    "event_id string, event_type string, event_time string, user_id string, anonymous_id string, session_id string, "
    "device_id string, product_id string, category string, brand string, quantity int, price double, discount double, "
    "currency string, order_id string, payment_id string, payment_status string, payment_method string, "
    "card_id string, merchant_id string, amount double, tax double, shipping double, ip string, user_agent string, "
    "url string, referrer string, query string, properties string"
)
DELAY: Final = "10 minutes"
STATE: Final = "count long, total double, squares double"
SCORED: Final = "card_id string, payments long, mean double, deviation double, score double"
MONEY: Final = ("price", "discount", "amount", "tax", "shipping")
MINUTES: Final = {"1m": ("1 minute", None), "10m": ("10 minutes", "1 minute")}

Queries = dict[str, DataFrame]
"""Streams by the name of the folder that they are written to."""


def event_enrichment(events: DataFrame, shop: Path) -> Queries:
    """Joins, rates, campaign, place and device by Python functions of columns; no policy, no classes of channel."""

    @sf.pandas_udf("string")
    def country(ips: Iterator[pd.Series]) -> Iterator[pd.Series]:
        place = Place.configured(shop)
        yield from (part.map(place.country) for part in ips)

    @sf.pandas_udf("browser string, os string, device string")
    def device(agents: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for part in agents:
            yield pd.DataFrame([agent_of(agent) for agent in part], columns=["browser", "os", "device"])

    found = _joined(events, shop).withColumn("geo_country", country("ip"))
    return {"rows": found.withColumn("agent", device("user_agent")).select("*", "agent.*").drop("agent")}


def event_enrichment_joins(events: DataFrame, shop: Path) -> Queries:
    """The same without place and device: no Python for any row."""
    return {"rows": _joined(events, shop)}


def _joined(events: DataFrame, shop: Path) -> DataFrame:
    spark = events.sparkSession
    users, products = (spark.read.parquet(str(shop / f"{name}.parquet")) for name in ("users", "products"))
    users, products = _prefixed(users, "user"), _prefixed(products, "product")
    found = _priced(events, shop).join(sf.broadcast(users), "user_id", "left")
    found = found.join(sf.broadcast(products), "product_id", "left")
    tags = {name: sf.try_parse_url("url", sf.lit("QUERY"), sf.lit(f"utm_{name}")) for name in ("source", "medium")}
    host = sf.regexp_extract("referrer", r"^[a-z]+://(?:www\.)?([^/?#:]+)", 1)
    return found.withColumns({**{f"campaign_{k}": v for k, v in tags.items()}, "campaign_referrer_host": host})


def _prefixed(frame: DataFrame, name: str) -> DataFrame:
    return frame.select(*(sf.col(c).alias(c if c == f"{name}_id" else f"{name}_{c}") for c in frame.columns))


def _priced(events: DataFrame, shop: Path) -> DataFrame:
    days = "day date, currency string, rate double"
    rates = events.sparkSession.read.csv(str(shop / "rates.csv"), header=True, schema=days)
    priced = events.withColumn("day", sf.to_date("event_time")).join(sf.broadcast(rates), ["day", "currency"], "left")
    rate = sf.when(sf.col("currency") == "EUR", 1.0).otherwise(sf.col("rate"))
    return priced.withColumns({f"{name}_base": sf.col(name) * rate for name in MONEY})


def session_analytics(events: DataFrame, shop: Path) -> Queries:
    """Windows of sessions; without their events, funnels, carts, transitions, a longest one, a visitor's two ids."""
    session = sf.session_window("event_time", "30 minutes")
    kind = sf.col("event_type")
    found = _priced(events, shop).withWatermark("event_time", DELAY).groupBy(session, _visitor().alias("visitor"))
    totals = found.agg(
        sf.count("*").alias("events"),
        sf.max("event_time").alias("session_end"),
        sf.count_if(kind == "page_view").alias("page_views"),
        sf.count_if(kind == "purchase").alias("purchases"),
        sf.sum(_line_value()).alias("revenue_base"),
        sf.min_by("url", "event_time").alias("entry_url"),
        sf.max_by("url", "event_time").alias("exit_url"),
    )
    return {"rows": totals.withColumn("session_start", sf.col("session_window.start")).drop("session_window")}


def _visitor() -> Column:
    return sf.coalesce("user_id", "anonymous_id")


def _line_value() -> Column:
    bought = sf.coalesce("quantity", sf.lit(1)) * sf.col("price_base") - sf.coalesce("discount_base", sf.lit(0.0))
    return sf.when(sf.col("event_type") == "purchase", bought)


def realtime_metrics(events: DataFrame, shop: Path) -> Queries:
    """Six figures in two kinds of window, a query each; without 15 more metrics, dimensions, revisions, alerts."""
    kind = sf.col("event_type")
    timed_rows = _priced(events, shop).withColumn("line", _line_value()).withWatermark("event_time", DELAY)
    return {
        name: timed_rows.groupBy(sf.window("event_time", *window)).agg(
            sf.count_if(kind.isin("page_view", "product_view")).alias("page_views"),
            sf.sum("line").alias("revenue"),
            sf.approx_count_distinct(sf.when(kind == "purchase", sf.col("order_id"))).alias("orders"),
            sf.approx_count_distinct(_visitor()).alias("visitors"),
            sf.percentile_approx("line", 0.5).alias("median"),
            sf.percentile_approx("line", 0.95).alias("p95"),
        )
        for name, window in MINUTES.items()
    }


def anomaly_detection(events: DataFrame, shop: Path) -> Queries:
    """How far a card's payment is from its own mean; one feature of one entity, and nothing that learns."""
    kind = sf.col("event_type")
    payments = _priced(events, shop).where(kind == "payment").where("card_id is not null and amount_base is not null")
    scored = payments.withWatermark("event_time", DELAY).groupBy("card_id")
    return {"rows": scored.applyInPandasWithState(_score, SCORED, STATE, "append", "NoTimeout")}


def _score(key: tuple[Any, ...], batches: Iterable[pd.DataFrame], state: Any) -> Iterator[pd.DataFrame]:
    """Payments of one micro-batch are scored by what was known before it, as is usual there."""
    count, total, squares = state.get if state.exists else (0, 0.0, 0.0)
    for batch in batches:
        mean = total / count if count else 0.0
        deviation = max(squares / count - mean * mean, 0.0) ** 0.5 if count else 0.0
        score = (batch["amount_base"] - mean).abs() / (deviation + 1.0)
        yield pd.DataFrame({"card_id": key[0], "payments": count, "mean": mean, "deviation": deviation, "score": score})
        count, total = count + len(batch), total + float(batch["amount_base"].sum())
        squares += float((batch["amount_base"] ** 2).sum())
    state.update((count, total, squares))


QUERIES: Final = {
    query.__name__: query
    for query in (event_enrichment, event_enrichment_joins, session_analytics, realtime_metrics, anomaly_detection)
}


def timed(raw: DataFrame) -> DataFrame:
    """Rows with id, type and a time that is no later than now; one of the year 2099 would make all others late."""
    millis = sf.timestamp_millis(sf.expr("try_cast(event_time as bigint)"))
    found = raw.withColumn("event_time", sf.coalesce(millis, sf.try_to_timestamp("event_time")))
    return found.where("event_id <> '' and event_type <> ''").where(sf.col("event_time") <= sf.current_timestamp())


def main(job: str, shop: str, out: str, trigger: str = "") -> None:
    """Run one to its end."""
    settings = {
        "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1", "spark.sql.session.timeZone": "UTC",
        "spark.sql.streaming.fileSink.log.compactInterval": "1000000",  # so that each commit keeps its own file
    }  # fmt: skip
    spark = SparkSession.builder.config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    reader = spark.readStream.schema(FIELDS)
    source = (reader if trigger else reader.option("maxFilesPerTrigger", 1)).json(str(Path(shop, "events")))
    when = {"processingTime": trigger} if trigger else {"availableNow": True}
    queries = [
        stream.writeStream.trigger(**when).option("checkpointLocation", f"{out}/c-{name}").start(f"{out}/{name}")
        for name, stream in QUERIES[job](timed(source), Path(shop)).items()
    ]
    for query in queries:
        query.awaitTermination()
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
