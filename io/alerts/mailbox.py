"""Where an outbox keeps things: files of the checkpoint, and of its backup."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from ecompulse.epochs.backup import ALERTS
from ecompulse.epochs.protocols import Store
from ecompulse.io.alerts.alert import Alert

PENDING: Final = f"{ALERTS}/pending"
LETTERS: Final = f"{ALERTS}/letters"
LOG: Final = f"{ALERTS}/log"
LEDGER: Final = f"{ALERTS}/ledger.json"

LOGS: Final = 500  # files of the log that are kept


@dataclass(frozen=True)
class Waiting:
    """An alert that one receiver has not taken yet.

    Attributes:
        since: ms, when it was kept.
        tries: so far.
        said: what the receiver said last.
    """

    to: str
    alert: Alert
    since: int
    tries: int = 0
    said: str = ""


@dataclass
class Mailbox:
    """Alerts that wait, a file per epoch; letters; the log of deliveries; the last epoch whose alerts are kept.

    Attributes:
        store: the checkpoint's.
        backup: of the checkpoint; it has all but the log.
        clock: UTC in ms.
    """

    store: Store
    backup: Store | None
    clock: Callable[[], int]
    _stamp: int = 0

    def last(self) -> int:
        """The last epoch whose alerts are kept, or told; 0 before the first."""
        try:
            return int(json.loads(self.store.get(LEDGER))["epoch"])
        except FileNotFoundError:
            return 0

    def record(self, epoch: int) -> None:
        """Remember that the alerts of an epoch are kept."""
        self._put(LEDGER, json.dumps({"epoch": epoch}).encode())

    def waiting(self) -> Iterator[tuple[str, list[Waiting]]]:
        """Files, and what waits in each, in order."""
        for name in self.store.list(PENDING):
            yield (
                name,
                [Waiting(**{**each, "alert": Alert(**each["alert"])}) for each in json.loads(self.store.get(name))],
            )

    def keep(self, name: str, waiting: Sequence[Waiting]) -> None:
        """Write what still waits in a file; one in which nothing waits goes."""
        if waiting:
            self._put(name, json.dumps([asdict(each) for each in waiting]).encode())
        else:
            for place in self._places:
                place.delete([name])

    def lay_aside(self, entries: Sequence[Waiting], why: str) -> None:
        """Keep what will never be taken, where people find it."""
        dead = [asdict(replace(each, said=why)) for each in entries]
        self._put(f"{LETTERS}/{self._moment()}.json", json.dumps(dead).encode())

    def log(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write down deliveries; the oldest are forgotten."""
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        self.store.put(f"{LOG}/{self._moment()}.jsonl", text.encode())
        logs = self.store.list(LOG)
        if len(logs) > LOGS:
            self.store.delete(logs[: len(logs) - LOGS // 2])

    @property
    def _places(self) -> list[Store]:
        return [self.store, *([self.backup] if self.backup else [])]

    def _put(self, name: str, data: bytes) -> None:
        for place in self._places:
            place.put(name, data)

    def _moment(self) -> str:
        """A name that comes after those before it."""
        self._stamp = max(self._stamp + 1, self.clock())
        return f"{self._stamp:015d}"
