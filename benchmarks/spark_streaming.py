"""What a user of PySpark writes who has Structured Streaming and no ecompulse: JOB SHOP OUT, as a program of its own.

Each query reads the shop's JSON lines once (`availableNow`), keeps its state in Spark and writes Parquet. None has dead
letters, data quality, late rows, bots or a lake with transactions; what more each leaves out its docstring says.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

FIELDS: Final = (
    "event_id string, event_type string, event_time string, user_id string, anonymous_id string, product_id string, "
    "currency string, price double, quantity int, amount double, url string, ip string, user_agent string, "
    "payment_id string, card_id string, merchant_id string, query string"
)
DELAY: Final = "10 minutes"
STATE: Final = "count long, total double, squares double"
SCORED: Final = "card_id string, payments long, mean double, deviation double, score double"


def event_enrichment(events: DataFrame, shop: Path) -> DataFrame:
    """Duplicates out, two joins, rates; without device, place, channel, policy, payments matched."""
    spark = events.sparkSession
    users, products = (spark.read.parquet(str(shop / f"{name}.parquet")) for name in ("users", "products"))
    rates = spark.read.csv(str(shop / "rates.csv"), header=True, schema="date date, currency string, rate double")
    once = events.withWatermark("event_time", DELAY).dropDuplicatesWithinWatermark(["event_id"])
    priced = once.withColumn("date", sf.to_date("event_time")).join(sf.broadcast(rates), ["date", "currency"], "left")
    named = products.select("product_id", "title", "category", "brand", "margin")
    found = priced.join(sf.broadcast(users), "user_id", "left").join(sf.broadcast(named), "product_id", "left")
    return found.withColumn("price_base", sf.col("price") * sf.col("rate"))


def session_analytics(events: DataFrame, shop: Path) -> DataFrame:
    """Windows of sessions; without their events, funnels, carts, transitions, a longest one, a visitor's two ids."""
    del shop
    visitor = sf.coalesce("user_id", "anonymous_id").alias("visitor")
    session = sf.session_window("event_time", "30 minutes")
    kind = sf.col("event_type")
    return (
        events.withWatermark("event_time", DELAY)
        .groupBy(session, visitor)
        .agg(
            sf.count("*").alias("events"),
            sf.count_if(kind == "page_view").alias("pages"),
            sf.count_if(kind == "purchase").alias("purchases"),
            sf.sum(sf.when(kind == "purchase", sf.col("amount"))).alias("revenue"),
            sf.min_by("url", "event_time").alias("entry_url"),
            sf.max_by("url", "event_time").alias("exit_url"),
        )
    )


def realtime_metrics(events: DataFrame, shop: Path) -> DataFrame:
    """Six figures a minute by type of event; without sliding windows, 40 more metrics, revisions, alerts."""
    del shop
    return (
        events.withWatermark("event_time", DELAY)
        .groupBy(sf.window("event_time", "1 minute"), "event_type")
        .agg(
            sf.count("*").alias("events"),
            sf.approx_count_distinct("user_id").alias("users"),
            sf.sum("amount").alias("revenue"),
            sf.avg("price").alias("price"),
            sf.percentile_approx("amount", 0.5).alias("median"),
            sf.percentile_approx("amount", 0.95).alias("p95"),
        )
    )


def anomaly_detection(events: DataFrame, shop: Path) -> DataFrame:
    """How far a card's payment is from its own mean; one feature of one entity, and nothing that learns."""
    del shop
    payments = events.where("card_id is not null and amount is not null").withWatermark("event_time", DELAY)
    return payments.groupBy("card_id").applyInPandasWithState(_score, SCORED, STATE, "append", "NoTimeout")


def _score(key: tuple[Any, ...], batches: Iterable[pd.DataFrame], state: Any) -> Iterator[pd.DataFrame]:
    count, total, squares = state.get if state.exists else (0, 0.0, 0.0)
    for batch in batches:
        mean = total / count if count else 0.0
        deviation = max(squares / count - mean * mean, 0.0) ** 0.5 if count else 0.0
        score = (batch["amount"] - mean).abs() / (deviation + 1.0)
        yield pd.DataFrame({"card_id": key[0], "payments": count, "mean": mean, "deviation": deviation, "score": score})
        count, total = count + len(batch), total + float(batch["amount"].sum())
        squares += float((batch["amount"] ** 2).sum())
    state.update((count, total, squares))


QUERIES: Final = {
    query.__name__: query for query in (event_enrichment, session_analytics, realtime_metrics, anomaly_detection)
}


def timed(raw: DataFrame) -> DataFrame:
    """Rows with a time that is no later than now; one of the year 2099 would make all others late."""
    millis = sf.timestamp_millis(sf.expr("try_cast(event_time as bigint)"))
    found = raw.withColumn("event_time", sf.coalesce(millis, sf.try_to_timestamp("event_time")))
    return found.where(sf.col("event_time") <= sf.current_timestamp())


def main(job: str, shop: str, out: str) -> None:
    """Run one to its end, and say how many rows it wrote."""
    settings = {"spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.ui.enabled": "false"}
    spark = SparkSession.builder.config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    source = spark.readStream.schema(FIELDS).option("maxFilesPerTrigger", 1).json(str(Path(shop, "events")))
    written = QUERIES[job](timed(source), Path(shop)).writeStream.format("parquet").trigger(availableNow=True)
    query = written.option("path", f"{out}/rows").option("checkpointLocation", f"{out}/checkpoint").start()
    query.awaitTermination()
    sys.stdout.write(f"{spark.read.parquet(f'{out}/rows').count()}\n")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
