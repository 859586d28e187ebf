"""The ledger of a Kafka sink: which epochs each writer has committed, in the brokers' own transactions.

A writer puts epoch + 1 as its offset on its partition of the ledger topic, in the transaction that holds the
epoch's records. Offsets expire with the brokers' `offsets.retention.minutes` (a week as a rule); a small record on
the same partition, in the same transaction, does not, and is what `--ledger=scan` reads.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from ecompulse.epochs.sinks import Owner
from ecompulse.io.kafka.cluster import CONNECT_MS, Cluster
from ecompulse.io.kafka.python_client import PythonClient
from ecompulse.io.kafka.settings import ClientSettings

TOPIC: Final = "ecompulse-ledger"
"""Of all jobs that share a `--topic_prefix`; compacted, so that it holds one record per writer."""

OPTIONS: Final[Mapping[str, str]] = {"cleanup.policy": "compact", "retention.ms": "-1"}

_TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True)
class Entry:
    """What a writer has committed last.

    Attributes:
        epoch: through this one; 0 before the first.
        units: among how many writers that epoch was shared.
        most: how many writers there have ever been, in the entry of writer 0: so many are to be fenced.
        owner: name of the job and instance (see `Owner`); empty of entries from before it was told.
    """

    epoch: int
    units: int
    most: int
    owner: str = ""

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Ledger:
    """The ledger of one checkpoint and sink.

    Attributes:
        topic: of the ledger, with the prefix.
        group: consumer group of the checkpoint and sink.
    """

    servers: str
    settings: ClientSettings
    topic: str
    group: str

    def transactional_id(self, unit: int) -> str:
        """Of a writer: whoever initialises it last, writes."""
        return f"{self.group}/{unit}"

    def offsets(self, unit: int, entry: Entry) -> dict[Any, Any]:
        """What a writer's transaction sends for its entry."""
        return {TopicPartition(self.topic, unit): OffsetAndMetadata(entry.epoch + 1, entry.dump(), -1)}

    def read(self, units: Sequence[int]) -> dict[int, Entry]:
        """By stable committed offsets; a writer that has none is absent.

        Read_committed makes the brokers wait for a transaction that is being ended.
        """
        consumer = KafkaConsumer(
            bootstrap_servers=self.servers.split(","),
            group_id=self.group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            bootstrap_timeout_ms=3 * CONNECT_MS,
            **self.settings.for_python(),
        )
        try:
            found = {}
            for unit in units:
                part = TopicPartition(self.topic, unit)
                known = consumer.committed(part, metadata=True, timeout_ms=_TIMEOUT_MS)
                if known is not None and known.offset >= 0:
                    found[unit] = Entry(**json.loads(known.metadata.rstrip("\0")))  # librdkafka ends it in C's way
            return found
        finally:
            consumer.close(autocommit=False)

    def scan(self, units: Sequence[int], cluster: Cluster) -> dict[int, Entry]:
        """The same by the records of the ledger topic."""
        parts = cluster.topics([self.topic])[self.topic].partitions
        latest = {unit: self._latest(unit, cluster).get(self.transactional_id(unit)) for unit in units if unit in parts}
        return {unit: entry for unit, entry in latest.items() if entry is not None}

    def others(self, owner: Owner, cluster: Cluster) -> list[str]:
        """Ids of other checkpoints that have written rows of the owner's job and instance to these topics."""
        groups = {key.rpartition("/")[0]: entry for key, entry in self._latest(0, cluster).items()}
        theirs = (group.split("/")[1] for group, entry in groups.items() if entry.epoch and entry.owner == owner.name)
        return [identity for identity in theirs if identity not in owner.lineage]

    def _latest(self, unit: int, cluster: Cluster) -> dict[str, Entry]:
        """The newest entry of each transactional id on a partition of the ledger topic."""
        found: dict[str, Entry] = {}
        client = PythonClient(self.servers, self.settings)
        try:
            [offsets] = cluster.offsets([(self.topic, unit)]).values()
            for records in client.polls(self.topic, unit, offsets.first, offsets.stable):
                found.update((record.key.decode(), Entry(**json.loads(record.value))) for record in records)
        finally:
            client.close()
        return found
