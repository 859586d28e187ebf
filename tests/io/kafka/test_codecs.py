"""Batches in every codec that a producer may choose, with each client: also large ones, and at the first look."""

import pytest
from kafka import KafkaProducer

from ecompulse.io.kafka.source import KafkaSource, Reading
from support.topics import Topics

pytestmark = pytest.mark.slow

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


@pytest.mark.parametrize("client", ["python", "confluent"])
def test_a_topic_with_batches_of_all_codecs(topics: Topics, client: str) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka")
    name = topics.make(len(CODECS))
    values = [b"%d " % number * 900 for number in range(1500)]  # above 1 MiB a batch, once unpacked
    for partition, codec in enumerate(CODECS):
        producer = KafkaProducer(
            bootstrap_servers=topics.bootstrap, compression_type=codec, linger_ms=200, batch_size=900_000
        )
        for value in values:
            producer.send(name, value=value, partition=partition)
        producer.close()
    source = KafkaSource(f"kafka://{topics.bootstrap}/{name}", 0, Reading(client=client))
    source.check()
    found: dict[int, list[bytes]] = {}
    for split in source.plan({}, 10**6, {}, whole=False).splits:
        for frame in source.reader().read(split):
            found.setdefault(split.partition, []).extend(frame["raw"])
    assert sorted(found) == list(range(len(CODECS)))
    assert all(rows == values for rows in found.values())
