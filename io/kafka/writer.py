"""One writer of a Kafka sink: a transactional producer, one transaction per epoch."""

from collections.abc import Sequence
from typing import Any, Final

from kafka import KafkaProducer

from ecompulse.epochs.steps import Step, reach
from ecompulse.io.kafka.cluster import CONNECT_MS, LARGEST_RECORD
from ecompulse.io.kafka.ledger import Entry, Ledger
from ecompulse.io.kafka.records import CUT, Records

TRANSACTION_MS: Final = 60_000
"""A writer that died in a transaction holds readers up for no longer than that."""

_BATCH_BYTES: Final = 256 * 1024
_BACKOFF_MS: Final = 20  # between the small requests of a transaction


class Writer:
    """Writes one unit's share of each epoch. After any error it is to be closed, and another one made."""

    def __init__(self, ledger: Ledger, unit: int) -> None:
        """Nothing happens yet."""
        self._ledger = ledger
        self._unit = unit
        self._producer: Any = None

    def begin(self) -> None:
        """Connect and initialise: from now on nobody else writes under this id, and what they left is ended."""
        self._producer = KafkaProducer(
            bootstrap_servers=self._ledger.servers.split(","),
            transactional_id=self._ledger.transactional_id(self._unit),
            transaction_timeout_ms=TRANSACTION_MS,
            delivery_timeout_ms=TRANSACTION_MS,
            max_block_ms=TRANSACTION_MS,
            batch_size=_BATCH_BYTES,
            max_request_size=LARGEST_RECORD,
            linger_ms=20,
            retry_backoff_ms=_BACKOFF_MS,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=3 * CONNECT_MS,
            **self._ledger.settings.for_python(),
        )
        self._producer.init_transactions()
        reach(Step.KAFKA_INITIALISED)

    def write(self, records: Sequence[Records], entry: Entry) -> None:
        """Records and their entry in the ledger, all or nothing."""
        producer = self._producer
        producer.begin_transaction()
        reach(Step.KAFKA_BEGUN)
        sent = []
        for part in records:
            for row, (key, value) in enumerate(zip(part.keys, part.values, strict=True)):
                headers = [(CUT, str(part.cut[row]).encode())] if row in part.cut else None
                sent.append(producer.send(part.topic, value=value, key=key, headers=headers))
        line = {"key": self._ledger.transactional_id(self._unit).encode(), "value": entry.dump().encode()}
        sent.append(producer.send(self._ledger.topic, partition=self._unit, **line))
        producer.flush()
        for future in sent:
            future.get(timeout=0)  # raises what became of the record
        reach(Step.KAFKA_WRITTEN)
        producer.send_offsets_to_transaction(self._ledger.offsets(self._unit, entry), self._ledger.group)
        reach(Step.KAFKA_LEDGER_SENT)
        producer.commit_transaction()
        reach(Step.KAFKA_COMMITTED)

    def close(self) -> None:
        """Drop the connection at once; a transaction that is open is the next one's, or time's, to end."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=0)
