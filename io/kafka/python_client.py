"""Reading with kafka-python: pure Python, and all that the extra `kafka` installs."""

import time
from collections.abc import Iterator
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import AuthorizationError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.kafka.client import STALLED_AFTER, Chunk, Told
from ecompulse.io.kafka.cluster import CONNECT_MS, one_line, overheard, refusal
from ecompulse.io.kafka.settings import ClientSettings

_POLL_MS: Final = 1_000
_FETCH_BYTES: Final = 8 * 1024 * 1024  # of a partition at once: fewer, larger answers
_RECORDS: Final = 10_000


class PythonClient:
    """See `Client`."""

    def __init__(self, servers: str, settings: ClientSettings) -> None:
        """Connects at the first read."""
        self._servers = servers
        self._settings = settings
        self._consumer: Any = None

    def read(self, topic: str, partition: int, start: int, end: int, *, told: bool = False) -> Iterator[Chunk]:
        """See `Client`."""
        for records in self.polls(topic, partition, start, end):
            more = [Told(each.key, list(each.headers or ()), each.timestamp) for each in records] if told else []
            yield [record.value for record in records], [record.offset for record in records], more

    def polls(self, topic: str, partition: int, start: int, end: int) -> Iterator[list[Any]]:
        """Whole records as they come; ends when the position has come to the end, whatever the last offsets were."""
        part = TopicPartition(topic, partition)
        where = f"{topic}/{partition}, offsets {start} to {end - 1}"
        consumer = self._connected()
        try:
            consumer.assign([part])
            consumer.seek(part, start)
            at, moved = start, time.monotonic()
            while at < end:
                found = consumer.poll(timeout_ms=_POLL_MS, max_records=_RECORDS).get(part, ())
                records = [record for record in found if record.offset < end]
                if records:
                    yield records
                now = consumer.position(part)
                if now != at:
                    at, moved = now, time.monotonic()
                elif time.monotonic() - moved > STALLED_AFTER:
                    raise JobError(f"--source: {where}: the brokers gave nothing after {at} for {STALLED_AFTER:.0f} s")
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            raise JobError(f"--source: {where}: these were deleted while they were to be read") from None
        except AuthorizationError as error:
            raise UserError(f"--source: {where}: no permission to read (ACL Read): {one_line(error)}") from None
        except KafkaError as error:
            raise JobError(f"--source: {where}: {one_line(error)}") from None

    def _connected(self) -> Any:
        if self._consumer is None:
            with overheard() as reasons:
                try:
                    self._consumer = KafkaConsumer(
                        bootstrap_servers=self._servers.split(","),
                        isolation_level="read_committed",
                        auto_offset_reset="none",  # a range that is gone is an error, never another range
                        enable_auto_commit=False,
                        max_partition_fetch_bytes=_FETCH_BYTES,
                        fetch_max_wait_ms=100,
                        bootstrap_timeout_ms=3 * CONNECT_MS,
                        **self._settings.for_python(),
                    )
                except (KafkaError, OSError, ValueError) as error:
                    why = refusal(reasons, str(error), login=self._settings.login)
                    raise JobError(f"--source: kafka://{self._servers}: {why}") from None
        return self._consumer

    def close(self) -> None:
        """See `Client`."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False)
