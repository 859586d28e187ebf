"""What the topics of a cluster hold."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

import polars as pl

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.protocols import Split
from ecompulse.epochs.reconcile import HOLDINGS_SCHEMA
from ecompulse.epochs.sinks import Owner
from ecompulse.io.holders.lake import owned
from ecompulse.io.kafka.address import parse_address
from ecompulse.io.kafka.reader import KafkaReader
from ecompulse.io.kafka.records import ROUTED, Naming
from ecompulse.io.kafka.settings import ClientSettings
from ecompulse.io.payloads.payload import Payload
from ecompulse.kernels.event import PAYLOAD_FAULT
from ecompulse.kernels.rows import conform

if TYPE_CHECKING:
    from ecompulse.io.kafka.cluster import Cluster

_FIELDS: Final = pl.Schema({**HOLDINGS_SCHEMA, "job": pl.String(), "instance": pl.String()})


@dataclass(frozen=True)
class TopicsHolder:
    """Every committed record that the brokers still have; what retention has removed is missing here too."""

    uri: str
    naming: Naming
    settings: ClientSettings = field(default_factory=ClientSettings)
    payload: Payload = field(default_factory=Payload)
    keeps_all: ClassVar = True

    @property
    def name(self) -> str:
        """As the sink's."""
        return f"{self.uri.rstrip('/')}/{self.naming.prefix}*"

    def tables(self) -> list[str]:
        """A cluster may hold topics of many: only those that are asked for are looked at."""
        return []

    def holdings(self, table: str, owner: Owner) -> pl.DataFrame | None:
        """Rows of the owner, of the table's topic and those that it is routed to."""
        routed = self.naming.routes.values() if table == ROUTED else ()
        cluster, names = self._cluster(), {self.naming.topic(output) for output in (table, *routed)}
        there = cluster.topics(sorted(names))
        parts = [(topic.name, partition) for topic in there.values() for partition in topic.partitions]
        reader, frames = (
            KafkaReader(cluster.servers, self.settings, payload=self.payload),
            [pl.DataFrame(schema=_FIELDS)],
        )
        for (topic, partition), offsets in cluster.offsets(parts).items():
            rows = offsets.stable - offsets.first
            split = Split(0, 0, f"{topic}/{partition}", offsets.first, offsets.stable, rows, exact=False)
            frames += [_fields(batch) for batch in (reader.read(split) if rows else ())]
        return owned(pl.concat(frames), owner) if there else None

    def _cluster(self) -> "Cluster":
        from ecompulse.io.kafka.cluster import Cluster  # noqa: PLC0415  # its client is an extra

        return Cluster(parse_address(self.uri, "--sink").servers, self.settings, "--sink")


def _fields(batch: pl.DataFrame) -> pl.DataFrame:
    """Fields of JSON, of a schema's columns, or nothing of messages that the registry does not know."""
    if PAYLOAD_FAULT in batch.columns:
        raise JobError(f"offset {batch['source_offset'][0]}: {batch[PAYLOAD_FAULT][0]}")
    if "raw" not in batch.columns:
        there = [name for name in _FIELDS if name in batch.columns]
        return conform(batch.select(there), _FIELDS).cast(dict(_FIELDS))  # type: ignore[arg-type]  # a Schema
    if batch["raw"].bin.starts_with(b"\0").any():
        raise JobError("values have a schema of a registry: give --schema_registry")
    text = pl.col("raw").cast(pl.String)
    return batch.select(text.str.json_decode(pl.Struct(dict(_FIELDS))).alias("value")).unnest("value")
