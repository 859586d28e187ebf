"""`kafka://host:port[,host:port]/topic[,topic]`: which brokers, and which topics of theirs."""

import re
from dataclasses import dataclass
from typing import Final

from ecompulse.epochs.errors import UserError

SCHEME: Final = "kafka://"
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what the broker allows


@dataclass(frozen=True)
class Address:
    """Brokers and topics.

    Attributes:
        servers: `host:port,host:port`, to ask first; the brokers name all others.
        topics: in the order given; none for a sink.
    """

    servers: str
    topics: tuple[str, ...] = ()


def parse_address(uri: str, flag: str) -> Address:
    """The address in a URI; UserError, naming the flag, when it is none. A URI holds no password."""
    rest = uri.removeprefix(SCHEME)
    if "@" in rest:  # its text may be a password: it is not repeated
        raise UserError(f"{flag}: a user or password does not belong into a URI; see --kafka_config")
    servers, _, names = rest.partition("/")
    for server in servers.split(","):
        if not _SERVER.fullmatch(server):
            raise UserError(f"{flag}: {uri}: {server!r} is no host:port")
    topics = tuple(names.rstrip("/").split(",")) if names.strip("/") else ()
    for topic in topics:
        check_topic(topic, f"{flag}: {uri}")
    return Address(servers, tuple(dict.fromkeys(topics)))


def check_topic(name: str, where: str) -> None:
    """UserError for a name that no topic can have."""
    if not _TOPIC.fullmatch(name) or name in (".", ".."):
        raise UserError(f"{where}: {name!r} is no name of a topic (letters, digits, . _ -)")
