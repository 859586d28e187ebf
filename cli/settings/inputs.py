"""What is read, what it is enriched with, how Kafka is reached."""

from dataclasses import dataclass
from typing import Literal

from ecompulse.cli.flags import flag
from ecompulse.cli.settings.groups import EPOCHS, INPUT, RUN
from ecompulse.cli.values import count, share, start, web_address
from ecompulse.kernels.mapping import shipped_mappings


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
