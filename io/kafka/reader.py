"""Reading ranges of offsets, on workers: one interface over two clients."""

import importlib.util
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.epochs.protocols import Split
from ecompulse.io.kafka.client import Client, Told, Values
from ecompulse.io.kafka.settings import ClientSettings
from ecompulse.io.payloads.framing import Headers
from ecompulse.io.payloads.payload import Payload
from ecompulse.kernels.event import RAW_SCHEMA

BATCH_ROWS: Final = 50_000
BATCH_BYTES: Final = 64 * 1024 * 1024

CONFLUENT: Final = "confluent"
PYTHON: Final = "python"

_AGAIN: Final = "#"  # no character of a topic's name


def source_name(topic: str, again: int) -> str:
    """What rows say that they are from: `topic`, and `topic#2` once it was made anew, with offsets of its own."""
    return f"{topic}{_AGAIN}{again + 1}" if again else topic


def default_client() -> str:
    """`confluent` where it is installed (extra `fast`), else `python`."""
    return CONFLUENT if importlib.util.find_spec("confluent_kafka") else PYTHON


def open_client(kind: str, servers: str, settings: ClientSettings) -> Client:
    """A client of a kind; it connects when it is first used."""
    if kind == CONFLUENT:
        from ecompulse.io.kafka.confluent_client import ConfluentClient  # noqa: PLC0415  # an extra

        return ConfluentClient(servers, settings)
    from ecompulse.io.kafka.python_client import PythonClient  # noqa: PLC0415  # an extra

    return PythonClient(servers, settings)


@dataclass(frozen=True)
class KafkaReader:
    """The worker's side of a `KafkaSource`; holds no secret and no connection.

    A process keeps its connections from one range to the next.

    Attributes:
        client: `confluent`, `python`, or empty for what the worker has.
        payload: how values are written.
    """

    servers: str
    settings: ClientSettings
    client: str = ""
    payload: Payload = field(default_factory=Payload)

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """Frames of RAW_SCHEMA of at most some BATCH_ROWS rows; `source` by `source_name`, `partition` Kafka's own.

        A tombstone (no value) has a null `raw`, which decoding makes a dead letter, as it does an empty one.
        """
        source, _, partition = split.uri.rpartition("/")
        topic = source.partition(_AGAIN)[0]
        key = (os.getpid(), self.client or default_client(), self.servers, _identity(self.settings))
        client = _take(key) or open_client(key[1], self.servers, self.settings)
        try:
            batch = _Batch(source, int(partition), self.payload)
            told = self.payload.needs_more
            for values, offsets, more in client.read(topic, int(partition), split.start, split.end, told=told):
                yield from batch.add(values, offsets, more)
            yield from batch.rest()
        except BaseException:
            client.close()  # in the middle of a range: its buffers are of no use to the next one
            raise
        _give(key, client)


@dataclass
class _Batch:
    """Records on their way to a frame."""

    source: str
    partition: int
    payload: Payload
    values: Values = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    size: int = 0

    def add(self, values: Values, offsets: Sequence[int], told: Sequence[Told]) -> Iterator[pl.DataFrame]:
        self.values += values
        self.told += told
        self.offsets += offsets
        self.size += sum(map(len, filter(None, values)))
        if len(self.values) >= BATCH_ROWS or self.size >= BATCH_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[pl.DataFrame]:
        if self.values:
            frame = to_frame(self.source, self.partition, self.values, self.offsets)
            yield from self.payload.rows(frame, self._headers(), self._told()) if self.told else (frame,)
        self.values, self.offsets, self.told, self.size = [], [], [], 0

    def _headers(self) -> list[Headers]:
        return [each.headers for each in self.told]

    def _told(self) -> list[bytes]:
        """What Kafka says of each record, as JSON."""
        if not self.payload.told:
            return []
        place = {"topic": self.source, "partition": self.partition}
        return [
            json.dumps({
                "key": _text(each.key), "timestamp": each.timestamp, **place, "offset": offset,
                "headers": {name: _text(value) for name, value in each.headers},
            }).encode()
            for each, offset in zip(self.told, self.offsets, strict=True)
        ]  # fmt: skip


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def to_frame(source: str, partition: int, values: Values, offsets: Sequence[int]) -> pl.DataFrame:
    """Records of one partition as RAW_SCHEMA."""
    return pl.DataFrame(
        {"raw": pl.Series(values, dtype=pl.Binary), "source_offset": pl.Series(offsets, dtype=pl.Int64)}
    ).select(
        "raw",
        source=pl.lit(source, RAW_SCHEMA["source"]),
        source_partition=pl.lit(partition, RAW_SCHEMA["source_partition"]),
        source_offset=pl.col("source_offset"),
    )


_Key = tuple[int, str, str, str]
_idle: dict[_Key, list[Client]] = {}
_lock: Final = threading.Lock()


def _identity(settings: ClientSettings) -> str:
    return repr(sorted(settings.values.items()))


def _take(key: _Key) -> Client | None:
    with _lock:
        idle = _idle.get(key)
        return idle.pop() if idle else None


def _give(key: _Key, client: Client) -> None:
    with _lock:
        _idle.setdefault(key, []).append(client)


def close_idle() -> None:
    """End the connections that this process keeps."""
    with _lock:
        clients = [client for key, idle in _idle.items() if key[0] == os.getpid() for client in idle]
        _idle.clear()
    for client in clients:
        client.close()
