"""A Kafka broker for the peer that reads from nothing else: that of the tests, filled from a shop's files."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.measure import ROOT
from benchmarks.peers.rows import Event, event_of, files_of, lines_of, visitor_of

PARTITIONS: Final = 2
LONGEST: Final = 1_000_000  # bytes of a line; the broker takes no more, and they are no events


@contextmanager
def broker() -> Iterator[str]:
    """Its address, as long as the block takes."""
    sys.path.append(str(ROOT / "tests"))
    from services import kafka  # noqa: PLC0415  # what the tests start

    with tempfile.TemporaryDirectory() as folder:
        server = kafka.start(Path(folder) / "kafka")
        try:
            yield server.facts["bootstrap"]
        finally:
            server.stop()


def fill(bootstrap: str, shop: Path, topic: str) -> None:
    """The shop's lines in order of the files, by visitor; lines that are no events have no key."""
    from confluent_kafka import Producer  # noqa: PLC0415  # only where Kafka is wanted
    from confluent_kafka.admin import AdminClient, NewTopic  # noqa: PLC0415

    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    for lines in lines_of(files_of(shop)):
        for line in lines:
            if len(line) < LONGEST:
                event: Event | None = event_of(line)
                producer.produce(topic, line.rstrip(b"\n"), visitor_of(event) if event else None)
        producer.poll(0)
        while len(producer) > 500_000:
            producer.poll(0.1)
    producer.flush()


if __name__ == "__main__":
    fill(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
