"""Topics of random records, in every codec and in transactions, read in random epochs by either client.

Rows in = good + dead, and they are the records that Kafka's own consumer sees. `ECOMPULSE_FUZZ=100000` tries so many
batches.
"""

import os
import random
from typing import Any

import pytest

from ecompulse.io.kafka.source import KafkaSource, Reading
from ecompulse.kernels.decode import decode
from support.topics import Topics

pytestmark = pytest.mark.slow

TOPICS = int(os.environ.get("ECOMPULSE_FUZZ", "4000")) // 40
NOW, BEFORE = 1_900_000_000_000, 1_700_000_000_000
GOOD = b'{"event_id":"e","event_type":"search","event_time":"2026-03-01T00:00:00Z","user_id":"u"}'
VALUES = [None, b"", b"\n", b"{}", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf" + GOOD, GOOD, GOOD + b"\n" + GOOD, b"[1]",
          b"null", b'"', b"x" * 100_000]  # fmt: skip
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


def produce(draw: random.Random, topics: Topics, name: str, partitions: int) -> None:
    """A batch, perhaps in a transaction, which perhaps is aborted."""
    transaction = draw.random() < 0.4
    settings: dict[str, Any] = {"compression_type": draw.choice(CODECS), "batch_size": draw.choice([1, 500, 900_000])}
    if transaction:
        settings["transactional_id"] = f"fuzz-{name}-{draw.random()}"
    with topics.producer(**settings) as producer:
        if transaction:
            producer.init_transactions()
            producer.begin_transaction()
        for _ in range(draw.choice([0, 1, 5, 60])):
            headers = [("h", b"\xff")] * draw.randrange(3)
            key = draw.choice([None, b"", b"k"])
            at, stamp = draw.randrange(partitions), draw.choice([None, 0, BEFORE])
            value = draw.choice(VALUES if key is not None else VALUES[1:])  # a producer wants one of both
            producer.send(name, value=value, key=key, headers=headers, partition=at, timestamp_ms=stamp)
        producer.flush()
        if transaction:
            (producer.commit_transaction if draw.random() < 0.6 else producer.abort_transaction)()


def check(topics: Topics, seed: int) -> None:
    """A topic that is written to while it is read."""
    draw = random.Random(seed)
    partitions = draw.randrange(1, 4)
    name = topics.make(partitions)
    positions: dict[str, Any] = {}
    rows, decoded = [], 0
    for _ in range(draw.randrange(1, 4)):
        produce(draw, topics, name, partitions)
        source = KafkaSource(
            f"kafka://{topics.bootstrap}/{name}", 0, Reading(client=draw.choice(["python", "confluent"]))
        )
        while True:  # brokers write the end of a transaction a moment after they say so
            backlog = source.plan(positions, draw.choice([1, 7, 1000]), {}, whole=False)
            if not backlog.splits and not backlog.notes.get("blocked"):
                break
            for split in backlog.splits:
                for frame in source.reader().read(split):
                    found = decode(frame, NOW)
                    decoded += found.events.height + found.dead.height
                    rows += frame.select("source_partition", "source_offset", "raw").rows()
            positions |= backlog.positions
    assert decoded == len(rows), seed
    assert sorted(rows, key=lambda row: row[:2]) == [
        (record.partition, record.offset, record.value) for record in topics.committed(name)
    ], seed
    topics.delete(name)


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, TOPICS), marks=pytest.mark.night)], ids=len)
def test_every_record_of_a_topic_is_good_or_dead(topics: Topics, seeds: range) -> None:
    pytest.importorskip("confluent_kafka")
    for seed in seeds:
        check(topics, seed)
