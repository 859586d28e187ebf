"""A simulated shop's streams as topics: the simulator's sink."""

from typing import Any, Final

import polars as pl
from kafka import KafkaProducer
from kafka.errors import KafkaError

from ecompulse.epochs.errors import JobError
from ecompulse.io.kafka.cluster import CONNECT_MS, LARGEST_RECORD, Cluster, one_line
from ecompulse.io.kafka.settings import ClientSettings

STREAMS: Final = ("events", "user_updates", "product_updates", "labels")
_KEYS: Final = ("user_id", "anonymous_id", "product_id")  # the first that a line has keeps the order of its rows
_BATCH_BYTES: Final = 256 * 1024


class TopicStreams:
    """Sends lines to the topics `<prefix><stream>`, at least once, in order per key; makes the topics.

    Raises UserError when the brokers do not answer or refuse us.
    """

    def __init__(self, servers: str, prefix: str, settings: ClientSettings, partitions: int = 4) -> None:
        """Connect; topics that are there already stay as they are."""
        self._prefix = prefix
        self.sent = 0
        cluster = Cluster(servers, settings, "--kafka")
        wanted = [f"{prefix}{stream}" for stream in STREAMS]
        there = cluster.topics(wanted)
        options = {"num_partitions": partitions, "configs": {"max.message.bytes": str(LARGEST_RECORD)}}
        cluster.create({topic: options for topic in wanted if topic not in there})
        cluster.close()
        self._producer: Any = KafkaProducer(
            bootstrap_servers=servers.split(","),
            linger_ms=20,
            batch_size=_BATCH_BYTES,
            max_request_size=LARGEST_RECORD,  # some rows are too large by design
            bootstrap_timeout_ms=CONNECT_MS,
            **settings.for_python(),
        )

    def append(self, stream: str, lines: pl.Series) -> None:
        """Send whole lines of a stream; JobError when the brokers do not take them."""
        keys = keys_of(lines).to_list()
        sent = [
            self._producer.send(
                f"{self._prefix}{stream}", value=line.rstrip(b"\n"), key=None if key is None else key.encode()
            )
            for line, key in zip(lines.to_list(), keys, strict=True)
        ]
        try:
            self._producer.flush()
            for future in sent:
                future.get(timeout=0)
        except KafkaError as error:
            raise JobError(f"--kafka: {self._prefix}{stream}: {one_line(error)}") from None
        self.sent += len(sent)

    def close(self) -> None:
        """Every append is out already."""
        self._producer.close()


def keys_of(lines: pl.Series) -> pl.Series:
    """The key of each line (String), null where a line has none or is broken."""
    text = pl.Series([line.decode(errors="replace") for line in lines.to_list()], dtype=pl.String)  # some are broken
    found = [text.str.extract(rf'"{name}": ?"([^"\\]+)"') for name in _KEYS]
    return pl.select(pl.coalesce(*found)).to_series()
