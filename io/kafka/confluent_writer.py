"""A writer by confluent-kafka (librdkafka), several times as fast: the extra `fast`."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.steps import Step, reach
from ecompulse.io.kafka.cluster import LARGEST_RECORD
from ecompulse.io.kafka.ledger import Entry, Ledger
from ecompulse.io.kafka.records import CUT, Records
from ecompulse.io.kafka.writer import TRANSACTION_MS

_QUEUED: Final = 2_000_000  # records on their way
_QUEUED_KB: Final = 256 * 1024
_TIMEOUT: Final = TRANSACTION_MS / 1000
_ANSWER: Final = 15.0
"""Seconds for a small request of a transaction. After its broker was restarted librdkafka may wait for the old
coordinator until it is told to stop; to begin again at initialising is quicker."""
_DENIED: Final = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED,
})  # fmt: skip

_silent: Final = logging.getLogger("ecompulse.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class ConfluentWriter:
    """See `Writer`: the same calls in the same order."""

    def __init__(self, ledger: Ledger, unit: int) -> None:
        """Nothing happens yet."""
        self._ledger = ledger
        self._unit = unit
        self._producer: Any = None
        self._group: Any = None

    def begin(self) -> None:
        """See `Writer`."""
        known = {"bootstrap.servers": self._ledger.servers, **self._ledger.settings.for_librdkafka()}
        consumer = Consumer({**known, "group.id": self._ledger.group}, logger=_silent)  # joins nothing
        self._group = consumer.consumer_group_metadata()
        consumer.close()
        self._producer = Producer(
            {
                "transactional.id": self._ledger.transactional_id(self._unit),
                "transaction.timeout.ms": TRANSACTION_MS,
                "delivery.timeout.ms": TRANSACTION_MS,
                "linger.ms": 20,
                "batch.size": 1024 * 1024,
                "message.max.bytes": LARGEST_RECORD,
                "queue.buffering.max.messages": _QUEUED,
                "queue.buffering.max.kbytes": _QUEUED_KB,
                "partitioner": "murmur2_random",  # a key's partition is that of every other client
                **known,
            },
            logger=_silent,
        )
        self._call(self._producer.init_transactions, _TIMEOUT)
        reach(Step.KAFKA_INITIALISED)

    def write(self, records: Sequence[Records], entry: Entry) -> None:
        """See `Writer`."""
        self._call(self._producer.begin_transaction)
        reach(Step.KAFKA_BEGUN)
        for part in records:
            for row, (key, value) in enumerate(zip(part.keys, part.values, strict=True)):
                if row in part.cut:
                    self._send(part.topic, value, key, headers=[(CUT, str(part.cut[row]).encode())])
                else:
                    self._send(part.topic, value, key)
        line = self._ledger.transactional_id(self._unit).encode()
        self._send(self._ledger.topic, entry.dump().encode(), line, partition=self._unit)
        if self._call(self._producer.flush, _TIMEOUT):
            raise JobError(f"the brokers did not take the records within {_TIMEOUT:.0f} s")
        reach(Step.KAFKA_WRITTEN)
        offset = TopicPartition(self._ledger.topic, self._unit, entry.epoch + 1, entry.dump())
        self._call(self._producer.send_offsets_to_transaction, [offset], self._group, _ANSWER)
        reach(Step.KAFKA_LEDGER_SENT)
        self._call(self._producer.commit_transaction, _ANSWER)  # fails when any record did
        reach(Step.KAFKA_COMMITTED)

    def _send(self, topic: str, value: bytes, key: bytes | None, **more: Any) -> None:
        while True:
            try:
                self._call(self._producer.produce, topic, value, key, **more)
            except BufferError:
                self._call(self._producer.poll, 0.1)
            else:
                return

    def _call(self, method: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except KafkaException as error:
            found = error.args[0]
            if found.code() == KafkaError._FATAL:  # noqa: SLF001  # a constant of the client's
                found = self._reason() or found
            text = f"{found.name()}: {found.str()}".splitlines()[0]
            if found.code() in _DENIED:
                raise UserError(f"no permission: {text}") from None
            raise JobError(text) from None

    def _reason(self) -> Any:
        """Why the client gave up, when its own thread has noticed: later calls only say that it has."""
        try:
            self._producer.poll(0)
        except KafkaException as error:
            return error.args[0]

    def close(self) -> None:
        """See `Writer`: what is queued is dropped."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
