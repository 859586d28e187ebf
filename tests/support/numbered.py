"""A numbered sequence per key through a job: what each sink has lost, doubled or changed of it."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from support.topics import Topics

BAD_EVERY: Final = 50
"""Every so many events there is one more line that is no JSON, for the dead letters."""

PAST: Final = 1_772_323_200_000
"""2026-03-01, in ms: when a sequence begins whose time is not the clock's."""


@dataclass
class Numbered:
    """Events of `keys` users, in turn, each user's numbered from 0.

    Attributes:
        time_of: event time of the event at an index, in ms.
        sent: events so far, without bad lines.
        bad: bad lines so far.
    """

    keys: int = 23
    time_of: Callable[[int], int] = lambda index: PAST + 100 * index
    sent: int = 0
    bad: int = 0

    def take(self, count: int) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of the next events, and of the bad lines among them."""
        for index in range(self.sent, self.sent + count):
            user, number = f"u{index % self.keys}", index // self.keys
            event = {
                "event_id": f"{user}-{number}",
                "event_type": ("page_view", "purchase")[number % 2],
                "event_time": datetime.fromtimestamp(self.time_of(index) / 1000, UTC).isoformat(),
                "user_id": user,
                "properties": {"number": number},
            }
            self.sent += 1
            yield user.encode(), json.dumps(event).encode()
            if index % BAD_EVERY == BAD_EVERY - 1:
                self.bad += 1
                yield user.encode(), f"no JSON, {index}".encode()

    def wanted(self) -> dict[str, list[int]]:
        """The numbers that each user has had."""
        return {f"u{user}": list(range(len(range(user, self.sent, self.keys)))) for user in range(self.keys)}


def sequences(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The numbers of each user, in the order of the rows (`user_id`, and `properties` as JSON text)."""
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(str(row["user_id"]), []).append(json.loads(str(row["properties"]))["number"])
    return found


@dataclass(frozen=True)
class Count:
    """A sink's rows held against the sequence."""

    rows: int
    lost: int
    doubled: int
    strange: int

    @staticmethod
    def of(found: Mapping[str, list[int]], wanted: Mapping[str, list[int]]) -> "Count":
        """Compare the numbers of each user; `strange` are rows that nobody has sent."""
        here = Counter((user, number) for user, numbers in found.items() for number in numbers)
        sent = {(user, number) for user, numbers in wanted.items() for number in numbers}
        doubled = sum(times - 1 for times in here.values())
        return Count(sum(here.values()), len(sent - here.keys()), doubled, len(here.keys() - sent))

    @property
    def whole(self) -> bool:
        """Nothing lost, nothing doubled, nothing made up."""
        return not (self.lost or self.doubled or self.strange)


@dataclass
class Producer:
    """Sends a sequence into a topic, at a rate, beside what else happens; each key has its order.

    It waits for a broker that is away and sends again, idempotently. `stop` returns when all is acknowledged.
    """

    topics: Topics
    topic: str
    numbered: Numbered
    rate: float
    _end: threading.Event = field(default_factory=threading.Event)
    _errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)

    def start(self) -> "Producer":
        self._thread.start()
        return self

    def stop(self) -> None:
        """No more events; raises what a delivery failed with."""
        self._end.set()
        self._thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self) -> None:
        with self.topics.producer(delivery_timeout_ms=600_000) as producer:
            began = time.monotonic()
            while not self._end.wait(0.1):
                due = int((time.monotonic() - began) * self.rate) - self.numbered.sent
                for key, value in self.numbered.take(max(0, due)):
                    producer.send(self.topic, key=key, value=value).add_errback(self._errors.append)
            producer.flush()


def send(topics: Topics, topic: str, numbered: Numbered, count: int) -> None:
    """The next events of a sequence, at once."""
    with topics.producer() as producer:
        for key, value in numbered.take(count):
            producer.send(topic, key=key, value=value)
