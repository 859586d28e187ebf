"""Reading with confluent-kafka (librdkafka), several times as fast: the extra `fast`."""

import logging
import time
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.kafka.client import STALLED_AFTER, Chunk, Told, Values
from ecompulse.io.kafka.settings import ClientSettings

_POLL: Final = 0.1  # seconds; `consume` waits so long for the last few of a range that has gaps
_RECORDS: Final = 10_000
_GONE: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001  # librdkafka's own name for it
_DENIED: Final = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
_LOST: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001

_silent: Final = logging.getLogger("ecompulse.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class ConfluentClient:
    """See `Client`."""

    def __init__(self, servers: str, settings: ClientSettings) -> None:
        """Connects at the first read."""
        self._servers = servers
        self._settings = settings
        self._consumer: Any = None
        self._said = ""

    def read(self, topic: str, partition: int, start: int, end: int, *, told: bool = False) -> Iterator[Chunk]:
        """See `Client`; ends at an offset at or after the end, or at the end of the partition."""
        where = f"{topic}/{partition}, offsets {start} to {end - 1}"
        consumer = self._connected()
        consumer.assign([TopicPartition(topic, partition, start)])
        at, moved = start, time.monotonic()
        while at < end:
            values: Values = []
            offsets: list[int] = []
            more: list[Told] = []
            for message in self._consume(consumer, min(_RECORDS, end - at), where):
                offset = message.offset()
                if message.error() is not None:
                    at = max(at, offset if self._is_end(message.error(), where) else at)
                elif offset < end:
                    values.append(message.value())
                    offsets.append(offset)
                    if told:
                        more.append(Told(message.key(), message.headers() or [], message.timestamp()[1]))
                    at = offset + 1
                else:
                    at = end
            if values:
                yield values, offsets, more
                moved = time.monotonic()
            elif at < end and time.monotonic() - moved > STALLED_AFTER:
                raise JobError(
                    f"--source: {where}: the brokers gave nothing after {at} for {STALLED_AFTER:.0f} s {self._said}"
                )
        consumer.unassign()  # it would go on fetching

    @staticmethod
    def _consume(consumer: Any, most: int, where: str) -> Any:
        try:
            return consumer.consume(most, _POLL)
        except KafkaException as error:
            raise JobError(f"--source: {where}: {error.args[0].str()}") from None

    @staticmethod
    def _is_end(error: Any, where: str) -> bool:
        """Whether this is the end of the partition, not an error; raises what cannot mend itself."""
        code = error.code()
        if code in _GONE:
            raise JobError(f"--source: {where}: these were deleted while they were to be read")
        if code in _DENIED:
            raise UserError(f"--source: {where}: no permission to read (ACL Read)")
        if code in _LOST:
            raise JobError(f"--source: {where}: the topic is gone")
        return bool(code == KafkaError._PARTITION_EOF)  # noqa: SLF001  # librdkafka's own name for it

    def _connected(self) -> Any:
        if self._consumer is None:
            self._consumer = Consumer(
                {
                    "bootstrap.servers": self._servers,
                    "group.id": "ecompulse",  # librdkafka wants one; nothing is committed to it
                    "isolation.level": "read_committed",
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",  # a range that is gone is an error, never another range
                    "enable.partition.eof": True,
                    "fetch.wait.max.ms": 100,
                    "fetch.message.max.bytes": 8 * 1024 * 1024,
                    "queued.max.messages.kbytes": 64 * 1024,
                    "error_cb": self._hear,
                    **self._settings.for_librdkafka(),
                },
                logger=_silent,
            )
        return self._consumer

    def _hear(self, error: Any) -> None:
        self._said = f"({error.str()})"

    def close(self) -> None:
        """See `Client`."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
