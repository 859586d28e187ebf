"""A cluster as the driver sees it: its topics, their partitions, the offsets that can be read."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.admin._partitions import IsolationLevel
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.kafka.settings import ClientSettings

CONNECT_MS: Final = 10_000
"""How long the first contact may take."""

NOBODY: Final = "nobody answers there; are host and port right, and is the broker up?"

REQUEST_MS: Final = 30_000

LARGEST_RECORD: Final = 8 * 1024 * 1024
"""Bytes of a record in topics that we make; the brokers' own limit is 1 MiB as a rule."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Topic:
    """A topic as it is now.

    Attributes:
        id: changes when a topic of the same name is made again; empty where the broker has no ids (before 2.8).
    """

    name: str
    id: str
    partitions: tuple[int, ...]


@dataclass(frozen=True)
class Offsets:
    """What of a partition can be read: from `first` until before `stable`, the last stable offset.

    What is from there until before `high`, the high watermark, waits for a transaction that is open.
    """

    first: int
    stable: int
    high: int


class Cluster:
    """Asks the brokers; connects at the first question and stays connected.

    UserError, naming `flag`, when the brokers refuse us at the first contact; JobError when nobody answers, and later.
    """

    def __init__(self, servers: str, settings: ClientSettings, flag: str) -> None:
        """Nothing is asked yet."""
        self.servers = servers
        self._settings = settings
        self._flag = flag
        self._client: Any = None
        self._met = False

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self._flag}: kafka://{self.servers}"

    def admin(self) -> Any:
        """Kafka-python's admin client."""
        if self._client is None:
            self._client = self._connect()
            self._met = True
        return self._client

    def _connect(self) -> Any:
        arguments = self._settings.for_python()
        with overheard() as reasons:
            try:
                return KafkaAdminClient(
                    bootstrap_servers=self.servers.split(","),
                    bootstrap_timeout_ms=CONNECT_MS,
                    request_timeout_ms=REQUEST_MS,
                    **arguments,
                )
            except (KafkaError, OSError, ValueError) as error:
                why = refusal(reasons, str(error), login=self._settings.login)
        if self._met or why == NOBODY:  # it was there, or comes back: the address need not be a mistake
            raise JobError(f"{self.where}: {why}")
        raise UserError(f"{self.where}: {why}")

    def topics(self, names: Sequence[str]) -> dict[str, Topic]:
        """Those of these topics that exist, by name; UserError for one that we may not see."""
        found = self._ask(lambda admin: admin.describe_topics(list(names))) if names else []
        topics = {}
        for topic in found:
            error = for_code(topic["error_code"])
            if error is TopicAuthorizationFailedError:
                raise UserError(f"{self.where}: topic {topic['name']}: no permission to read about it (ACL Describe)")
            if topic["error_code"] == 0:
                partitions = tuple(sorted(part["partition_index"] for part in topic["partitions"]))
                topics[topic["name"]] = Topic(topic["name"], str(topic["topic_id"] or ""), partitions)
        return topics

    def offsets(self, parts: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Offsets]:
        """First and last stable offset of partitions, and their high watermark."""
        wanted = list(parts)
        first = self._list(dict.fromkeys(wanted, OffsetSpec.EARLIEST))
        latest = dict.fromkeys(wanted, OffsetSpec.LATEST)
        stable, high = self._list(latest), self._list(latest, IsolationLevel.READ_UNCOMMITTED)
        return {part: Offsets(first[part], stable[part], max(stable[part], high[part])) for part in wanted}

    def offsets_at(self, parts: Iterable[tuple[str, int]], time_ms: int) -> dict[tuple[str, int], int | None]:
        """Offset of the first record that is not before a time (UTC ms), None where there is none."""
        found = self._list(dict.fromkeys(parts, time_ms))
        return {part: offset if offset >= 0 else None for part, offset in found.items()}

    def _list(
        self, specs: Mapping[tuple[str, int], Any], isolation: IsolationLevel = IsolationLevel.READ_COMMITTED
    ) -> dict[tuple[str, int], int]:
        asked = {TopicPartition(*part): spec for part, spec in specs.items()}
        if not asked:
            return {}
        answer = self._ask(lambda admin: admin.list_partition_offsets(asked, isolation_level=isolation))
        return {(part.topic, part.partition): found.offset for part, found in answer.items()}

    def newest_time(self, parts: Iterable[tuple[str, int]]) -> int | None:
        """The largest timestamp of any record (UTC ms); None where there is no record, or the broker cannot tell."""
        asked = {TopicPartition(*part): OffsetSpec.MAX_TIMESTAMP for part in parts}
        if not asked:
            return None
        try:
            answer = self._ask(lambda admin: admin.list_partition_offsets(asked))
        except JobError:  # before Kafka 3.0
            return None
        return max((int(found.timestamp) for found in answer.values() if found.offset >= 0), default=None)

    def create(self, topics: Mapping[str, Mapping[str, Any]]) -> None:
        """Make topics that are missing, with these options; UserError when we may not, or one cannot be."""
        for name, options in topics.items():
            try:
                self.admin().create_topics({name: dict(options)}, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                continue
            except AuthorizationError:
                raise UserError(
                    f"{self.where}: topic {name} is missing, and we have no permission to make it"
                ) from None
            except KafkaError as error:
                raise UserError(
                    f"{self.where}: topic {name} is missing and cannot be made: {one_line(error)}"
                ) from None

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        self._ask(lambda admin: admin.create_partitions({topic: partitions}))

    def _ask(self, question: Callable[[Any], _Found]) -> _Found:
        kept = self._client is not None
        try:
            return question(self.admin())
        except AuthorizationError as error:
            raise UserError(f"{self.where}: no permission: {one_line(error)}") from None
        except (KafkaError, OSError) as error:
            self.close()
            if kept:  # since the last question the brokers may have closed the connection, or been restarted
                return self._ask(question)
            raise JobError(f"{self.where}: {one_line(error)}") from None

    def close(self) -> None:
        """End the connection; the next question makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


@contextmanager
def overheard() -> Iterator[list[str]]:
    """What kafka-python says of failing connections meanwhile: its errors do not tell a wrong password from no host."""
    heard: list[str] = []
    logger, handler = logging.getLogger("kafka"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def refusal(heard: Sequence[str], otherwise: str, *, login: bool) -> str:
    """Why a connection did not come about, in one line without any secret."""
    closed = "it refused user and password; see sasl.username and sasl.password in --kafka_config"
    if not login:
        closed = "it closed the connection; it may want TLS or a login, see --kafka_config"
    signs = {
        "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted; see ssl.ca.location in --kafka_config",
        "Handshake failed": "no TLS there; see security.protocol in --kafka_config",
        "UnsupportedSaslMechanism": "it does not know this sasl.mechanism; see --kafka_config",
        "Authentication": closed,
        "socket disconnected": closed,
        "frame length": closed,
        "Unable to bootstrap": NOBODY,
    }
    said = " ".join([*heard, otherwise])
    return next((text for sign, text in signs.items() if sign in said), otherwise.splitlines()[0])


def one_line(error: BaseException) -> str:
    """An error's name and the first line of its text: kafka-python's may hold whole requests."""
    text = (str(error).strip().splitlines() or [""])[0].split("Request '")[0].removeprefix(f"{type(error).__name__}: ")
    name = type(error).__name__
    return text[:200] if name in text or not text else f"{name}: {text[:200]}"
