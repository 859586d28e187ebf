"""Settings of a job: what the flags say, sorted by who needs it. Parsed once, frozen, handed on in parts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

from ecompulse.cli.flags import Flag, flag, flags_of, parse, switch
from ecompulse.cli.values import (
    count,
    duration,
    instance,
    receiver,
    share,
    spark_setting,
    start,
    trigger,
    web_address,
    zone,
)
from ecompulse.io.secrets import secret_place
from ecompulse.kernels.bots import Bots
from ecompulse.kernels.dedup import Deduplicate
from ecompulse.kernels.enrich.joins import STAGED
from ecompulse.kernels.mapping import shipped_mappings

INPUT: Final = "input"
OUTPUT: Final = "output"
TIME: Final = "time"
EPOCHS: Final = "epochs and state"
ALERTS: Final = "alerts"
RUN: Final = "running"
SPARK: Final = "Spark (--runner=PySparkRunner)"
JOINS: Final = "deduplication and joins"

LIVE_TRIGGER: Final = 10_000
"""Ms between epochs of a job that reads from Kafka."""


@dataclass(frozen=True)
class Inputs:
    """What is read, and how."""

    source: tuple[str, ...] = flag(
        INPUT,
        "kafka://host:port/topic[,topic], a Delta table (folder or s3://), or a path, folder, glob of files (.jsonl "
        ".csv .parquet, also .gz); may be given more than once, all are one stream",
        (),
        many=True,
        metavar="URI",
        shown="required",
    )
    mapping: str | None = flag(
        INPUT,
        f"YAML file, or shipped name ({', '.join(shipped_mappings())}), that maps foreign fields to the event",
        metavar="FILE",
    )
    file_order: Literal["name", "mtime"] = flag(
        INPUT, "order of the files of one source", "name", choices=("name", "mtime")
    )
    on_bad_file: Literal["quarantine", "stop"] = flag(
        INPUT,
        "what to do with a damaged or incomplete file: quarantine (a dead letter, tried again when it changes) or stop",
        "quarantine",
        choices=("quarantine", "stop"),
    )
    max_files_per_epoch: int = flag(EPOCHS, "files begun in one epoch at the most", 1000, parse=count, metavar="FILES")
    max_dead_ratio: float = flag(
        INPUT,
        "share of dead letters among 1,000 rows and more of a source in an epoch from which the job stops, unsealed",
        0.5,
        parse=share,
    )


@dataclass(frozen=True)
class Lookups:
    """What events are enriched with."""

    enrich: str | None = flag(INPUT, "YAML file of the enrichment steps", metavar="FILE", shown="shipped defaults")
    dynamodb_endpoint: str | None = flag(RUN, "URL of a DynamoDB-compatible server", shown="AWS", parse=web_address)


@dataclass(frozen=True)
class Kafka:
    """How Kafka is read and written."""

    kafka_config: str | None = flag(
        INPUT,
        "YAML file of Kafka's client settings (security.protocol, sasl.*, ssl.*), for source and sink; secrets as "
        "${VARIABLE} or file:PATH",
        metavar="FILE",
    )
    start: str = flag(
        INPUT,
        "where Kafka partitions begin that the checkpoint does not know: earliest, latest, a time (ISO 8601 with zone, "
        "or epoch ms), or TOPIC/PARTITION=OFFSET,...",
        "earliest",
        parse=start,
        metavar="POSITION",
    )
    on_lost_offsets: Literal["fail", "continue"] = flag(
        INPUT,
        "what to do when Kafka offsets are gone before they were read: fail, or continue, which counts them",
        "fail",
        choices=("fail", "continue"),
    )
    kafka_client: Literal["auto", "confluent", "python"] = flag(
        INPUT,
        "client of Kafka: confluent (librdkafka), python (kafka-python), or auto: the first there reads, python writes",
        "auto",
        choices=("auto", "confluent", "python"),
    )

    format: Literal["json", "avro", "json_schema", "protobuf"] = flag(
        INPUT,
        "how values of Kafka's messages are written: json, or by a schema of --schema_registry: avro, json_schema, "
        "protobuf",
        "json",
        choices=("json", "avro", "json_schema", "protobuf"),
    )
    schema_registry: str | None = flag(
        INPUT,
        "URL of the schema registry; its login and TLS files are schema.registry.* of --kafka_config",
        parse=web_address,
        metavar="URL",
    )

    @property
    def client(self) -> str:
        """The client asked for; empty for what is installed."""
        return "" if self.kafka_client == "auto" else self.kafka_client


@dataclass(frozen=True)
class Places:
    """Where the job keeps things."""

    checkpoint: str | None = flag(
        EPOCHS, "directory or s3://BUCKET/PREFIX of the checkpoint", metavar="PLACE", shown="./checkpoints/<job>"
    )
    checkpoint_backup: str | None = flag(
        EPOCHS,
        "second directory or s3:// location; it has an epoch before anything of the epoch is published",
        metavar="PLACE",
    )
    checkpoint_key: tuple[str, ...] = flag(
        EPOCHS,
        "where a key stands that encrypts checkpoint and backup, env:NAME or file:PATH (32 bytes in base64); may be "
        "given again: the first one encrypts, all decrypt",
        (),
        parse=secret_place,
        many=True,
        metavar="KEY",
    )
    lake: str = flag(OUTPUT, "directory or s3://BUCKET/PREFIX of the Delta tables, or none", "./lake", metavar="PLACE")
    warehouse: str = flag(
        OUTPUT,
        "SQLAlchemy URL of the warehouse (sqlite, postgresql), env:NAME or file:PATH that has it, or none; created on "
        "the first write",
        "sqlite:///warehouse.db",
        metavar="URL",
    )
    instance: str | None = flag(
        OUTPUT,
        "name of this instance, for several of one job on the same tables (a shop each): part of ids and of rows",
        shown="the only one",
        parse=instance,
    )
    s3_endpoint: str | None = flag(RUN, "URL of an S3-compatible server", shown="AWS", parse=web_address)

    def checkpoint_of(self, job: str) -> str:
        """Where the job's checkpoint is."""
        name = job if self.instance is None else f"{job}-{self.instance}"
        return absolute(self.checkpoint or f"checkpoints/{name}")

    def stores_of(self, job: str) -> list[tuple[str, str]]:
        """Flag and place of every store that the job will write to."""
        found = [("checkpoint", self.checkpoint_of(job))]
        if self.checkpoint_backup:
            found.append(("checkpoint_backup", absolute(self.checkpoint_backup)))
        if self.lake != "none":
            found.append(("lake", absolute(self.lake)))
        return found


@dataclass(frozen=True)
class Outputs:
    """Sinks beyond the lake and the warehouse, and how rows of earlier checkpoints are treated."""

    replace: bool = switch(
        OUTPUT,
        "start anew on tables that hold rows of an earlier checkpoint, which go in the commit of the first epoch",
    )
    sink: tuple[str, ...] = flag(
        OUTPUT,
        "further sink, kafka://host:port[,host:port] or jsonl:DIRECTORY; may be given more than once",
        (),
        many=True,
        metavar="URI",
    )
    topic_prefix: str | None = flag(OUTPUT, "start of the names of topics written: topic = prefix + output")
    route: tuple[str, ...] = flag(
        OUTPUT,
        "sends enriched events of that type to another topic (with the prefix); may be given more than once",
        (),
        many=True,
        metavar="EVENT_TYPE:TOPIC",
    )
    sink_units: int = flag(
        OUTPUT,
        "writers of a Kafka sink, each with one transaction per epoch",
        os.cpu_count() or 1,
        parse=count,
        metavar="WRITERS",
        shown="cores",
    )
    ledger: Literal["offsets", "scan"] = flag(
        OUTPUT,
        "where a Kafka sink looks up what it wrote: offsets, or scan (the ledger's topic) once these have expired",
        "offsets",
        choices=("offsets", "scan"),
    )


@dataclass(frozen=True)
class Time:
    """Event time and the clock."""

    watermark_delay: int = flag(TIME, "how far events of a partition may be out of order", 600_000, parse=duration)
    idle_after: int = flag(
        TIME,
        "silence after which a source that was read to its end stops holding the watermark",
        60_000,
        parse=duration,
    )
    idle_advance: bool = switch(TIME, "move the watermark with the clock once all sources are idle")
    accept_clock: bool = switch(
        TIME, "believe the machine's clock though the last epoch, or a file's time, contradicts it"
    )
    timezone: str = flag(TIME, "IANA zone of days, weeks and the same time yesterday", "UTC", parse=zone)
    quality_window: int = flag(TIME, "window of data_quality", 3_600_000, parse=duration)


@dataclass(frozen=True)
class Epochs:
    """How epochs are cut, and how often what fails is tried again."""

    trigger: Literal["available-now", "once"] | int | None = flag(
        EPOCHS,
        "available-now (all there is, then end), once (one epoch), or a duration between epochs",
        parse=trigger,
        metavar="TRIGGER",
        shown="available-now for files, 10s for Kafka",
    )
    drain: bool = switch(EPOCHS, "when the input ends, close every window and session")
    max_records_per_epoch: int | None = flag(
        EPOCHS, "rows of one epoch at the most", parse=count, metavar="ROWS", shown="adaptive"
    )
    num_shards: int = flag(
        EPOCHS,
        "shards of keyed state, fixed for the life of a checkpoint",
        2 * (os.cpu_count() or 1),
        parse=count,
        metavar="SHARDS",
        shown="2 x cores",
    )
    keep_epochs: int = flag(EPOCHS, "committed epochs that can be gone back to", 10, parse=count, metavar="EPOCHS")
    epoch_attempts: int = flag(
        EPOCHS, "times that an epoch is planned and run before the job stops", 3, parse=count, metavar="TIMES"
    )
    publish_attempts: int = flag(
        EPOCHS,
        "times that a sealed epoch is offered to a sink or the backup, with growing pauses, before the job stops",
        10,
        parse=count,
        metavar="TIMES",
    )


@dataclass(frozen=True)
class Alerting:
    """Who is told of what the tables of alerts say."""

    alert: tuple[tuple[str | None, str], ...] = flag(
        ALERTS,
        "receiver of alerts: alertmanager://HOST:PORT, webhook:URL (or the URL), pagerduty:env:NAME, slack:URL, "
        "teams:URL, apprise:URL; env:NAME or file:PATH may stand for a URL; may be given more than once",
        (),
        many=True,
        parse=receiver,
        metavar="[NAME=]URL",
    )
    alert_routes: str | None = flag(
        ALERTS,
        "YAML file that says which alerts go to which receiver, by table, severity and rule",
        metavar="FILE",
        shown="all to all",
    )
    alert_keep: int = flag(
        ALERTS, "how long an alert waits for its receiver before it becomes a letter", 86_400_000, parse=duration,
        shown="24h",
    )  # fmt: skip


@dataclass(frozen=True)
class Running:
    """How the job runs and what it shows."""

    config: str | None = flag(
        RUN, "YAML file of flags (`source: ...`); a flag on the command line wins", metavar="FILE"
    )
    plugin: tuple[str, ...] = flag(
        RUN,
        "module that registers sinks, sources, steps or measures of your own, imported first; may be given more than "
        "once (tools and workers take ECOMPULSE_PLUGINS)",
        (),
        many=True,
        metavar="MODULE",
    )
    check: bool = switch(RUN, "validate flags, mapping and files, decode 100 rows, show them, touch nothing")
    progress: Literal["auto", "json", "line", "none"] = flag(
        RUN,
        "a live line on a terminal and JSON lines elsewhere, or always one of them, or none",
        "auto",
        choices=("auto", "json", "line", "none"),
    )
    metrics_port: str | None = flag(
        RUN, "port for Prometheus (/metrics) and probes (/livez, /readyz)", metavar="[HOST:]PORT", shown="off"
    )
    metrics_host: str | None = flag(
        RUN,
        "address that it listens on; 0.0.0.0 is every one of this machine, to whoever can reach it",
        metavar="ADDRESS",
        shown="127.0.0.1",
    )
    stuck_after: int = flag(
        RUN,
        "silence from which /livez says that the job is stuck; longer than the longest step of an epoch takes",
        600_000,
        parse=duration,
        metavar="DURATION",
    )
    runner: str = flag(
        RUN,
        "Beam runner: LocalRunner (in this process, all cores), DirectRunner (Beam's own in one process), PrismRunner, "
        "PySparkRunner (ours, on Spark)",
        "LocalRunner",
        metavar="RUNNER",
    )


@dataclass(frozen=True)
class Spark:
    """How the job runs on Spark."""

    spark_master: str | None = flag(
        SPARK,
        "URL of the cluster: local[2], spark://HOST:7077",
        metavar="URL",
        shown="spark-submit's, or local[*]",
    )
    spark_conf: tuple[tuple[str, str], ...] = flag(
        SPARK,
        "over what spark-submit and spark-defaults.conf say; may be given more than once",
        (),
        parse=spark_setting,
        many=True,
        metavar="spark.KEY=VALUE",
    )
    spark_parallelism: int | None = flag(SPARK, "tasks of a stage", parse=count, metavar="TASKS", shown="--num_shards")
    shared_filesystem: bool = switch(
        SPARK,
        "all workers see the folders of --source, --checkpoint and --lake, under the same paths; one is asked at start",
    )


@dataclass(frozen=True)
class JobSettings:
    """Settings of a job's own; each job has a subclass, if it has any."""

    @property
    def further(self) -> Sequence[tuple[str, str]]:
        """Role and URI of what is read beside events."""
        return ()

    @property
    def needs_events(self) -> bool:
        """Whether `--source` is required."""
        return True

    def advice(self, totals: Mapping[str, int]) -> str:
        """A line for whoever ran it, from the rows read (`input`) and written by table; empty for none."""
        del totals
        return ""


@dataclass(frozen=True)
class DedupSettings(JobSettings):
    """Of jobs that can pass the first copy of each event only."""

    dedup: bool = switch(JOINS, "pass only the first copy of each event_id")
    dedup_horizon: int | None = flag(
        JOINS, "event time over which copies are recognised", parse=duration, shown="--watermark_delay"
    )

    def deduplication(self, time: Time) -> Deduplicate | None:
        """What passes only the first copies, if the user wants that."""
        if not self.dedup:
            return None
        horizon = time.watermark_delay if self.dedup_horizon is None else self.dedup_horizon
        return Deduplicate(horizon, time.quality_window, STAGED)


@dataclass(frozen=True)
class VisitorSettings(DedupSettings):
    """Of jobs that look at people."""

    bots: Bots = flag(  # noqa: RUF009  # a field: see flag
        INPUT,
        "exclude, include, or segment (kept, with device `bot`); counted in data_quality either way",
        "exclude",
        choices=("exclude", "include", "segment"),
    )


Own_co = TypeVar("Own_co", bound=JobSettings, covariant=True)
Kind = TypeVar("Kind", bound=JobSettings)


@dataclass(frozen=True)
class Settings(Generic[Own_co]):
    """All settings of a job; whoever needs one part is given that part.

    Attributes:
        own: those that no other job has.
        beam: flags for Beam.
    """

    inputs: Inputs
    lookups: Lookups
    kafka: Kafka
    places: Places
    outputs: Outputs
    time: Time
    epochs: Epochs
    alerts: Alerting
    running: Running
    spark: Spark
    own: Own_co
    beam: tuple[str, ...] = ()

    @property
    def trigger(self) -> str | int:
        """`available-now`, `once`, or ms between epochs; without the flag, by the kind of the sources."""
        from ecompulse.io.sources import is_live  # here, since --help needs none of what it brings

        uris = [*self.inputs.source, *(uri for _, uri in self.own.further)]
        live = any(is_live(uri) for uri in uris)
        given = self.epochs.trigger
        return given if given is not None else LIVE_TRIGGER if live else "available-now"

    @property
    def endless(self) -> bool:
        """Whether the job waits for more once it has read what there is."""
        return isinstance(self.trigger, int)


PARTS: Final = {
    "running": Running,
    "inputs": Inputs,
    "lookups": Lookups,
    "kafka": Kafka,
    "places": Places,
    "outputs": Outputs,
    "alerts": Alerting,
    "time": Time,
    "epochs": Epochs,
    "spark": Spark,
}
"""What every job has."""


def all_flags(own: type[JobSettings]) -> list[Flag]:
    """The flags of a job."""
    return flags_of(*PARTS.values(), own)


def read_settings(program: str, summary: str, own: type[Kind], argv: Sequence[str]) -> Settings[Kind]:
    """Settings from a command line; UserError, one line with the flag's name, for what cannot be."""
    given = parse(program, summary, all_flags(own), argv)
    parts = {name: given.fill(kind) for name, kind in PARTS.items()}
    return Settings(**parts, own=given.fill(own), beam=given.beam)


def absolute(path: str) -> str:
    """A path that means the same in every process; URIs stay as they are."""
    return path if "://" in path else str(Path(path).absolute())
