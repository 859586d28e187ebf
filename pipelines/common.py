"""Flags that all jobs share."""

import os
from typing import Final

from ecompulse.io.secrets import secret_place
from pipelines.flags import Flag, count, duration, instance, share, start, trigger, web_address, zone

INPUT: Final = "input"
OUTPUT: Final = "output"
TIME: Final = "time"
EPOCHS: Final = "epochs and state"
RUN: Final = "running"
SPARK: Final = "Spark (--runner=PySparkRunner)"
JOINS: Final = "deduplication and joins"

BOTS: Final = Flag(
    "bots",
    INPUT,
    "exclude, include, or segment (kept, with device `bot`); counted in data_quality either way",
    default="exclude",
    choices=("exclude", "include", "segment"),
)

DEDUP: Final = (
    Flag("dedup", JOINS, "pass only the first copy of each event_id", default=False, switch=True),
    Flag(
        "dedup_horizon", JOINS, "event time over which copies are recognised", parse=duration, shown="--watermark_delay"
    ),
)

COMMON: Final[tuple[Flag, ...]] = (
    Flag("config", RUN, "YAML file of flags (`source: ...`); a flag on the command line wins"),
    Flag(
        "source",
        INPUT,
        "kafka://host:port/topic[,topic], a Delta table (folder or s3://), or a path, folder, glob of files (.jsonl "
        ".csv .parquet, also .gz); may be given more than once, all are one stream",
        default=[],
        many=True,
        shown="required",
    ),
    Flag("mapping", INPUT, "YAML file, or shipped name (rees46), that maps foreign fields to the event"),
    Flag("enrich", INPUT, "YAML file of the enrichment steps", shown="shipped defaults"),
    Flag(
        "kafka_config",
        INPUT,
        "YAML file of Kafka's client settings (security.protocol, sasl.*, ssl.*), for source and sink; secrets as "
        "${VARIABLE} or file:PATH",
    ),
    Flag(
        "start",
        INPUT,
        "where Kafka partitions begin that the checkpoint does not know: earliest, latest, a time (ISO 8601 with zone, "
        "or epoch ms), or TOPIC/PARTITION=OFFSET,...",
        default="earliest",
        parse=start,
    ),
    Flag(
        "on_lost_offsets",
        INPUT,
        "what to do when Kafka offsets are gone before they were read: fail, or continue, which counts them",
        default="fail",
        choices=("fail", "continue"),
    ),
    Flag(
        "kafka_client",
        INPUT,
        "client of Kafka: confluent (librdkafka), python (kafka-python), or auto: the first there reads, python writes",
        default="auto",
        choices=("auto", "confluent", "python"),
    ),
    Flag(
        "max_dead_ratio",
        INPUT,
        "share of dead letters among 1,000 rows and more of a source in an epoch from which the job stops, unsealed",
        default=0.5,
        parse=share,
    ),
    Flag(
        "accept_clock",
        TIME,
        "believe the machine's clock though the last epoch, or a file's time, contradicts it",
        default=False,
        switch=True,
    ),
    Flag("file_order", INPUT, "order of the files of one source", default="name", choices=("name", "mtime")),
    Flag(
        "on_bad_file",
        INPUT,
        "what to do with a damaged or incomplete file: quarantine (a dead letter, tried again when it changes) or stop",
        default="quarantine",
        choices=("quarantine", "stop"),
    ),
    Flag(
        "check",
        RUN,
        "validate flags, mapping and files, decode 100 rows, show them, touch nothing",
        switch=True,
    ),
    Flag("checkpoint", EPOCHS, "directory or s3://BUCKET/PREFIX of the checkpoint", shown="./checkpoints/<job>"),
    Flag(
        "checkpoint_backup",
        EPOCHS,
        "second directory or s3:// location; it has an epoch before anything of the epoch is published",
    ),
    Flag(
        "checkpoint_key",
        EPOCHS,
        "where a key stands that encrypts checkpoint and backup, env:NAME or file:PATH (32 bytes in base64); may be "
        "given again: the first one encrypts, all decrypt",
        default=[],
        parse=secret_place,
        many=True,
    ),
    Flag("lake", OUTPUT, "directory or s3://BUCKET/PREFIX of the Delta tables, or none", default="./lake"),
    Flag(
        "instance",
        OUTPUT,
        "name of this instance, for several of one job on the same tables (a shop each): part of ids and of rows",
        shown="the only one",
        parse=instance,
    ),
    Flag(
        "replace",
        OUTPUT,
        "start anew on tables that hold rows of an earlier checkpoint, which go in the commit of the first epoch",
        default=False,
        switch=True,
    ),
    Flag("s3_endpoint", RUN, "URL of an S3-compatible server", shown="AWS", parse=web_address),
    Flag("dynamodb_endpoint", RUN, "URL of a DynamoDB-compatible server", shown="AWS", parse=web_address),
    Flag(
        "warehouse",
        OUTPUT,
        "SQLAlchemy URL of the warehouse (sqlite, postgresql), env:NAME or file:PATH that has it, or none; created on "
        "the first write",
        default="sqlite:///warehouse.db",
    ),
    Flag(
        "sink",
        OUTPUT,
        "further sink, kafka://host:port[,host:port] or jsonl:DIRECTORY; may be given more than once",
        default=[],
        many=True,
    ),
    Flag("topic_prefix", OUTPUT, "start of the names of topics written: topic = prefix + output"),
    Flag(
        "route",
        OUTPUT,
        "event_type:topic, sends enriched events of that type to another topic (with the prefix); may be given more "
        "than once",
        default=[],
        many=True,
    ),
    Flag(
        "sink_units",
        OUTPUT,
        "writers of a Kafka sink, each with one transaction per epoch",
        default=os.cpu_count() or 1,
        parse=count,
        shown="cores",
    ),
    Flag(
        "ledger",
        OUTPUT,
        "where a Kafka sink looks up what it wrote: offsets, or scan (the ledger's topic) once these have expired",
        default="offsets",
        choices=("offsets", "scan"),
    ),
    Flag(
        "trigger",
        EPOCHS,
        "available-now (all there is, then end), once (one epoch), or a duration between epochs",
        parse=trigger,
        shown="available-now for files, 10s for Kafka",
    ),
    Flag("drain", EPOCHS, "when the input ends, close every window and session", default=False, switch=True),
    Flag("max_records_per_epoch", EPOCHS, "rows of one epoch at the most", parse=count, shown="adaptive"),
    Flag("max_files_per_epoch", EPOCHS, "files begun in one epoch at the most", default=1000, parse=count),
    Flag(
        "watermark_delay",
        TIME,
        "how far events of a partition may be out of order",
        default=600_000,
        parse=duration,
        shown="10m",
    ),
    Flag(
        "idle_after",
        TIME,
        "silence after which a source that was read to its end stops holding the watermark",
        default=60_000,
        parse=duration,
        shown="1m",
    ),
    Flag(
        "idle_advance",
        TIME,
        "move the watermark with the clock once all sources are idle",
        default=False,
        switch=True,
    ),
    Flag("timezone", TIME, "IANA zone of days, weeks and the same time yesterday", default="UTC", parse=zone),
    Flag(
        "num_shards",
        EPOCHS,
        "shards of keyed state, fixed for the life of a checkpoint",
        default=2 * (os.cpu_count() or 1),
        parse=count,
        shown="2 x cores",
    ),
    Flag("keep_epochs", EPOCHS, "committed epochs that can be gone back to", default=10, parse=count),
    Flag(
        "epoch_attempts", EPOCHS, "times that an epoch is planned and run before the job stops", default=3, parse=count
    ),
    Flag(
        "publish_attempts",
        EPOCHS,
        "times that a sealed epoch is offered to a sink or the backup, with growing pauses, before the job stops",
        default=10,
        parse=count,
    ),
    Flag("quality_window", TIME, "window of data_quality", default=3_600_000, parse=duration, shown="1h"),
    Flag(
        "progress",
        RUN,
        "a live line on a terminal and JSON lines elsewhere, or always one of them, or none",
        default="auto",
        choices=("auto", "json", "line", "none"),
    ),
    Flag("metrics_port", RUN, "PORT or HOST:PORT of a Prometheus endpoint (/metrics)", shown="off"),
    Flag(
        "metrics_host",
        RUN,
        "address that it listens on; 0.0.0.0 is every one of this machine, to whoever can reach it",
        shown="127.0.0.1",
    ),
    Flag(
        "runner",
        RUN,
        "Beam runner: LocalRunner (in this process, all cores), DirectRunner (Beam's own in one process), PrismRunner, "
        "PySparkRunner (ours, on Spark)",
        default="LocalRunner",
    ),
    Flag("spark_master", SPARK, "URL of the cluster: local[2], spark://HOST:7077", shown="spark-submit's, or local[*]"),
    Flag(
        "spark_conf",
        SPARK,
        "spark.KEY=VALUE, over what spark-submit and spark-defaults.conf say; may be given more than once",
        default=[],
        many=True,
    ),
    Flag("spark_parallelism", SPARK, "tasks of a stage", parse=count, shown="--num_shards"),
    Flag(
        "shared_filesystem",
        SPARK,
        "all workers see the folders of --source, --checkpoint and --lake, under the same paths; one is asked at start",
        default=False,
        switch=True,
    ),
)
