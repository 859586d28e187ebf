"""Topics of a test broker: made, filled, cut, read back."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from support.process import wait_until


@dataclass(frozen=True)
class Record:
    """A record as a consumer sees it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def row(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.value or b"null")
        return found


class Topics:
    """A broker's topics as a test handles them."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.admin: Any = KafkaAdminClient(bootstrap_servers=bootstrap)

    def make(self, partitions: int = 1, name: str = "", **configs: str) -> str:
        """A new topic, of a name that no other test has."""
        name = name or f"t-{uuid.uuid4().hex[:12]}"
        self.admin.create_topics({name: {"num_partitions": partitions, "configs": configs}}, wait_for_metadata=True)
        return name

    def delete(self, name: str) -> None:
        self.admin.delete_topics([name])
        wait_until(lambda: name not in self.admin.list_topics())  # a broker answers before all of it knows

    def grow(self, name: str, partitions: int) -> None:
        self.admin.create_partitions({name: partitions})
        self.admin.wait_for_topics([name])

    def cut(self, name: str, partition: int, before: int) -> None:
        """Delete the records before an offset."""
        self.admin.delete_records({TopicPartition(name, partition): before})

    @contextmanager
    def producer(self, **settings: Any) -> Iterator[Any]:
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5, **settings)
        try:
            yield producer
        finally:
            producer.close()

    def send(self, name: str, values: Iterable[bytes | None], partition: int = 0, **more: Any) -> None:
        with self.producer() as producer:
            for value in values:
                producer.send(name, value=value, partition=partition, **more)

    def send_in_transaction(self, name: str, values: Iterable[bytes], partition: int = 0, *, commit: bool) -> None:
        with self.producer(transactional_id=f"test-{uuid.uuid4().hex}") as producer:
            producer.init_transactions()
            producer.begin_transaction()
            for value in values:
                producer.send(name, value=value, partition=partition)
            producer.flush()
            if commit:
                producer.commit_transaction()
            else:
                producer.abort_transaction()

    def committed(self, name: str) -> list[Record]:
        """All records of a topic that a read_committed consumer sees, up to the last stable offset."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        try:
            parts = [TopicPartition(name, number) for number in sorted(consumer.partitions_for_topic(name) or ())]
            consumer.assign(parts)
            ends: Mapping[Any, int] = consumer.end_offsets(parts)
            consumer.seek_to_beginning(*parts)
            found: list[Record] = []
            while any(consumer.position(part) < end for part, end in ends.items()):
                for part, records in consumer.poll(timeout_ms=500, max_records=10_000).items():
                    found += [
                        Record(name, part.partition, got.offset, got.key, got.value, tuple(got.headers))
                        for got in records
                    ]
            return sorted(found, key=lambda record: (record.partition, record.offset))
        finally:
            consumer.close()

    def close(self) -> None:
        self.admin.close()
