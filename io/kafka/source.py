"""Topics as a source: one source partition for each of Kafka's, explicit ranges up to the last stable offset."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ecompulse.epochs.errors import StateDamaged, UserError
from ecompulse.epochs.protocols import EVENTS, Backlog, Split
from ecompulse.io.kafka.address import Address, parse_address
from ecompulse.io.kafka.positions import FAIL, Known, Part, allocate, describe_loss, name_of, vanished
from ecompulse.io.kafka.reader import KafkaReader, close_idle, default_client, open_client, source_name
from ecompulse.io.kafka.settings import ClientSettings
from ecompulse.io.kafka.start import LATEST, Start, refuse_places
from ecompulse.io.payloads.payload import Payload
from ecompulse.io.terminal import say

if TYPE_CHECKING:
    from ecompulse.io.kafka.cluster import Cluster, Offsets

HANGS_AFTER: Final = 60.0
"""Seconds after which an open transaction is spoken of: as long as one of a producer that has died may stay."""


@dataclass(frozen=True)
class Reading:
    """How topics are read.

    Attributes:
        settings: of clients.
        start: where partitions begin that the checkpoint does not know.
        on_lost: `fail` or `continue`.
        bounded: read what is there when the job starts, and nothing that comes later.
        client: see `KafkaReader`.
        payload: how values are written.
    """

    settings: ClientSettings = field(default_factory=ClientSettings)
    start: Start = field(default_factory=Start)
    on_lost: str = FAIL
    bounded: bool = False
    client: str = ""
    payload: Payload = field(default_factory=Payload)


@dataclass
class KafkaSource:
    """One or more topics of a cluster, read_committed.

    New partitions are read from their first record. Offsets that vanish before they were read (retention, a topic
    made again, a log cut short) end the job, or are counted and passed over.

    Attributes:
        uri: as given.
        index: number of the `--source`.
        role: see `Source`.
    """

    uri: str
    index: int
    reading: Reading = field(default_factory=Reading)
    role: str = EVENTS
    _started: dict[Part, int] = field(default_factory=dict)
    _ends: dict[Part, int] | None = None
    _asked: bool = False  # for the time of the newest record, once
    _told: set[str] = field(default_factory=set)
    _blocked: dict[str, float] = field(default_factory=dict)  # since when, by what is said of it

    @cached_property
    def address(self) -> Address:
        """Brokers and topics; UserError for a URI without topics."""
        address = parse_address(self.uri, "--source")
        if not address.topics:
            raise UserError(f"--source: {self.uri}: names no topic; give kafka://host:port/topic[,topic]")
        return address

    @cached_property
    def _cluster(self) -> "Cluster":
        from ecompulse.io.kafka.cluster import Cluster  # noqa: PLC0415  # its client is an extra, and slow to import

        return Cluster(self.address.servers, self.reading.settings, "--source")

    def close(self) -> None:
        """End the connections that are kept for the next epoch, the readers' in this process too."""
        if "_cluster" in self.__dict__:
            self._cluster.close()
        close_idle()

    def check(self) -> None:
        """Raise UserError when the brokers, or a topic, are not there or not ours to read."""
        topics = self._cluster.topics(self.address.topics)
        for name in self.address.topics:
            if name not in topics:
                raise UserError(f"--source: kafka://{self.address.servers}: there is no topic {name}")
        for (topic, partition), offsets in self._cluster.offsets([(name, 0) for name in topics]).items():
            if offsets.first < offsets.stable:  # only a fetch shows whether we may
                self._try(topic, partition, offsets.first)

    def _try(self, topic: str, partition: int, offset: int) -> None:
        client = open_client(self.reading.client or default_client(), self.address.servers, self.reading.settings)
        try:
            next(client.read(topic, partition, offset, offset + 1), None)
        finally:
            client.close()

    def reads(self) -> frozenset[str]:
        """Topics: by their ids, which are the same by whichever brokers they are asked for."""
        topics = self._cluster.topics(self.address.topics)
        return frozenset(f"topic {name} {topic.id or self.address.servers}" for name, topic in topics.items())

    def columns(self, most: int) -> Iterator[tuple[str, Sequence[str]]]:
        """Rows name their fields themselves."""
        del most
        return iter(())

    def reader(self) -> KafkaReader:
        """The worker's side."""
        return KafkaReader(self.address.servers, self.reading.settings, self.reading.client, self.reading.payload)

    def plan(self, positions: Mapping[str, Any], max_rows: int, tops: Mapping[int, int], *, whole: bool) -> Backlog:
        """Ranges of at most `max_rows` offsets: most of the partition furthest behind in event time.

        An offset is a record at the most; see `Client`. StateDamaged for offsets that are lost.
        """
        del whole  # a record is always whole
        ids = self._ids(positions)
        offsets = self._cluster.offsets(ids)
        written = None if self._asked else self._cluster.newest_time(ids)
        self._asked = True
        if self.reading.bounded and self._ends is None:
            self._ends = {part: found.stable for part, found in offsets.items()}
        lost: dict[str, str] = {}
        known = self._known(positions, ids, offsets, lost)
        ends = {part: max(known[part].at, self._end(part, found)) for part, found in offsets.items()}
        waiting = {known[part].number: end - known[part].at for part, end in ends.items()}
        taken = allocate(waiting, tops, max_rows)
        splits = []
        after: dict[str, Any] = {}
        for name, (loss, mark) in vanished(positions, ids).items():
            self._lose(loss)
            lost[name], after[name] = loss, mark.dump()
        for part, mark in sorted(known.items(), key=lambda item: item[1].number):
            rows = taken[mark.number]
            if rows:
                uri = name_of((source_name(part[0], mark.again), part[1]))
                splits.append(Split(self.index, mark.number, uri, mark.at, mark.at + rows, rows, exact=False))
            after[name_of(part)] = replace(mark, at=mark.at + rows).dump()
        lag = {name_of(part): offsets[part].high - after[name_of(part)]["at"] for part in sorted(ends)}
        blocked = {part: found.high - found.stable for part, found in offsets.items() if found.high > found.stable}
        self._tell_blocked(blocked, offsets)
        return Backlog(
            splits=splits,
            positions={name: mark for name, mark in after.items() if positions.get(name) != mark},
            ended=frozenset(
                mark.number
                for part, mark in known.items()
                if taken[mark.number] == waiting[mark.number] and part not in blocked
            ),
            partitions=frozenset(waiting),
            left=sum(waiting.values()) - sum(taken.values()),
            notes={
                "lag": lag,
                **({"lost": lost} if lost else {}),
                **({"blocked": {name_of(part): rows for part, rows in blocked.items()}} if blocked else {}),
            },
            written=written,
        )

    def _tell_blocked(self, blocked: Mapping[Part, int], offsets: Mapping[Part, "Offsets"]) -> None:
        """Say once of a transaction that stays open how much waits behind it, and at once where nobody waits for it.

        What is behind it may be old: the partition is not read to its end, and holds the watermark.
        """
        since = {f"{name_of(part)}: a transaction that is open since offset {offsets[part].stable}": rows
                 for part, rows in blocked.items()}  # fmt: skip
        now = time.monotonic()
        self._blocked = {text: self._blocked.get(text, now) for text in since}
        for text, rows in since.items():
            if text not in self._told and (self.reading.bounded or now - self._blocked[text] > HANGS_AFTER):
                self._told.add(text)
                say(f"--source: {text} holds up {rows:,} offsets; they are read once it has ended")

    def _ids(self, positions: Mapping[str, Any]) -> dict[Part, str]:
        """All partitions that there are, with the ids of their topics."""
        topics = self._cluster.topics(self.address.topics)
        for name in self.address.topics:
            if name not in topics:
                raise StateDamaged(f"--source: topic {name} is gone{self._unread(name, positions)}")
        return {
            (name, partition): topics[name].id for name in self.address.topics for partition in topics[name].partitions
        }

    @staticmethod
    def _unread(topic: str, positions: Mapping[str, Any]) -> str:
        marks = [f"{part} {mark['at']}" for part, mark in positions.items() if part.rpartition("/")[0] == topic]
        return f"; what came at and after these offsets was not read: {', '.join(marks)}" if marks else ""

    def _end(self, part: Part, offsets: "Offsets") -> int:
        return offsets.stable if self._ends is None else min(offsets.stable, self._ends.get(part, 0))

    def _known(
        self,
        positions: Mapping[str, Any],
        ids: Mapping[Part, str],
        offsets: Mapping[Part, "Offsets"],
        lost: dict[str, str],
    ) -> dict[Part, Known]:
        """Where each partition stands, new ones included; fills `lost`, or raises StateDamaged for what is."""
        known = {part: Known(**positions[name_of(part)]) for part in ids if name_of(part) in positions}
        fresh = [part for part in ids if part not in known]
        number = 1 + max((mark["number"] for mark in positions.values()), default=-1)
        begins = self._begin(fresh, {topic for topic, _ in known}, offsets)
        found = {}
        for part, topic_id in ids.items():
            mark = known.get(part)
            if mark is None:
                mark, number = Known(number, begins[part], topic_id), number + 1
            loss = describe_loss(part, mark, topic_id, offsets[part])
            if loss:
                self._lose(loss)
                lost[name_of(part)] = loss
                anew = "" not in {mark.topic_id, topic_id} and mark.topic_id != topic_id
                cut = not anew and mark.at > offsets[part].stable
                at = offsets[part].stable if cut else offsets[part].first
                mark = Known(mark.number, at, topic_id, mark.again + anew)
            found[part] = mark
        return found

    def _lose(self, loss: str) -> None:
        if self.reading.on_lost == FAIL:
            raise StateDamaged(f"--source: {loss}; --on_lost_offsets=continue goes on without them")
        if loss not in self._told:
            self._told.add(loss)
            say(f"--source: {loss}; going on without them")

    def _begin(self, fresh: list[Part], begun: set[str], offsets: Mapping[Part, "Offsets"]) -> dict[Part, int]:
        """First offsets of partitions that the checkpoint does not know; decided once in the life of this driver."""
        begun = begun | {topic for topic, _ in self._started}
        late = [part for part in fresh if part not in self._started]
        first = [part for part in late if part[0] not in begun]  # else the topic has grown: read it all
        refuse_places(self.reading.start, first, offsets)
        times = self._cluster.offsets_at(first, self.reading.start.at) if isinstance(self.reading.start.at, int) else {}
        for part in late:
            at = offsets[part].first
            if part in self.reading.start.offsets and part in first:
                at = self.reading.start.offsets[part]
            elif part in first and (self.reading.start.at == LATEST or isinstance(self.reading.start.at, int)):
                at = times.get(part) if times.get(part) is not None else offsets[part].stable  # type: ignore[assignment]
            self._started[part] = at
        return self._started
