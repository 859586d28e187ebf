"""Where a job keeps and writes things, and whom it tells."""

from dataclasses import dataclass
from typing import Literal

from ecompulse.cli.flags import flag, switch
from ecompulse.cli.settings.groups import ALERTS, EPOCHS, OUTPUT, RUN
from ecompulse.cli.values import (
    absolute,
    count,
    duration,
    instance,
    receiver,
    web_address,
)
from ecompulse.io.secrets import secret_place
from ecompulse.runners.cores import cores


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
        cores(),
        parse=count,
        metavar="WRITERS",
        shown="cores",
    )
    sink_format: Literal["json", "avro", "json_schema"] = flag(
        OUTPUT,
        "how values in topics are written: json, or with a schema under TOPIC-value in --schema_registry: avro, "
        "json_schema",
        "json",
        choices=("json", "avro", "json_schema"),
    )
    ledger: Literal["offsets", "scan"] = flag(
        OUTPUT,
        "where a Kafka sink looks up what it wrote: offsets, or scan (the ledger's topic) once these have expired",
        "offsets",
        choices=("offsets", "scan"),
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
