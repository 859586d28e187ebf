"""The outbox: alerts of sealed epochs, kept in the checkpoint until each receiver has them or never will.

At least once: an alert is kept before anybody is told of it, and forgotten after its receiver has taken it. Who dies in
between tells it again, with the same key. An epoch waits for receivers no longer than `PATIENCE`; what they have not
taken by then is tried again in later turns, with growing pauses, and becomes a letter after `keep`.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import DataFile, Owner, TableSpec
from ecompulse.epochs.state import read_verified
from ecompulse.epochs.steps import Step, reach
from ecompulse.io.alerts.alert import FIRING, TABLES, Alert, alerts_of
from ecompulse.io.alerts.mailbox import PENDING, Mailbox, Waiting
from ecompulse.io.alerts.routes import Routing
from ecompulse.io.alerts.targets import AlertTarget, NotNowError, RefusedError

PATIENCE: Final = 5.0  # seconds that an epoch waits for its receivers
DEADLINE: Final = 10.0  # seconds after which an answer is not waited for any more
LAST_PATIENCE: Final = 30.0  # seconds at the end of a run
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
MOST: Final = 10_000  # alerts that wait for a receiver


@dataclass
class _Line:
    """What waits for one receiver, in order, and when it may be asked again (monotonic seconds)."""

    target: AlertTarget
    waiting: list[tuple[str, Waiting]] = field(default_factory=list)  # name of the file, and what
    pause: float = 0.0
    not_before: float = 0.0
    hangs: threading.Thread | None = None
    alone: int = 0  # how many from the first on are offered one by one


@dataclass
class Outbox:
    """See the module.

    Attributes:
        store: the checkpoint's.
        outputs: store that the epoch's files are in.
        targets: by name.
        backup: of the checkpoint; it has what the outbox has.
        keep: seconds for which an alert waits for its receiver.
        tell: says a line to people.
        clock: UTC in ms.
        monotonic: seconds that never go back.
    """

    store: Store
    outputs: Store
    targets: Mapping[str, AlertTarget]
    routing: Routing
    tell: Callable[[str], None]
    backup: Store | None = None
    keep: float = 86_400.0
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[float], object] = time.sleep
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lines: dict[str, _Line] = field(default_factory=dict)
    _job: str = ""
    _last: int = 0
    _mail: Mailbox = field(init=False)

    def __post_init__(self) -> None:
        self._mail = Mailbox(self.store, self.backup, self.clock)

    def open(self, owner: Owner) -> None:
        """Take up what an earlier driver left; what waits for receivers that are no more becomes letters."""
        self._job = owner.job
        self._lines = {name: _Line(target) for name, target in self.targets.items()}
        self._last = self._mail.last()
        for name, entries in list(self._mail.waiting()):
            for each in entries:
                if each.to in self._lines:
                    self._lines[each.to].waiting.append((name, each))
            gone = [each for each in entries if each.to not in self._lines]
            if gone:
                self._letters(gone, "no receiver of that name is given any more")
                self._store([name])

    def take(self, epoch: int, tables: Sequence[tuple[TableSpec, Sequence[DataFile]]]) -> None:
        """Keep the alerts of a sealed epoch, once, and tell of them as far as that can be done at once."""
        if epoch > self._last:
            fresh = [
                Waiting(name, alert, self.clock())
                for alert in self._alerts(tables)
                for name in self.routing.receivers(alert)
            ]
            if fresh:
                name = f"{PENDING}/{epoch:08d}.json"
                for each in fresh:
                    self._lines[each.to].waiting.append((name, each))
                self._store([name])
            reach(Step.ALERTS_KEPT)
            self._mail.record(epoch)
            self._last = epoch
        reach(Step.ALERTS_RECORDED)
        self.deliver(PATIENCE)

    def deliver(self, seconds: float = PATIENCE) -> None:
        """Tell receivers of what waits for them, for so long."""
        until, done = self.monotonic() + seconds, list[dict[str, Any]]()
        touched: set[str] = set()
        # Who has failed is asked last: the time that it takes not to answer is nobody else's.
        for name, line in sorted(self._lines.items(), key=lambda each: each[1].pause):
            self._expire(line, touched)
            while line.waiting and line.not_before <= self.monotonic() < until:
                batch = line.waiting[: 1 if line.alone else max(1, line.target.batch)]
                line.alone = max(0, line.alone - 1)
                if self._offer(name, line, [each for _, each in batch], done):
                    del line.waiting[: len(batch)]
                touched |= {file for file, _ in batch}  # of those not taken too: `alerts pending` shows their tries
            self._limit(line, touched)
        reach(Step.ALERTS_SENT)
        self._store(touched)
        if done:
            self._mail.log(done)

    def finish(self) -> int:
        """At the end of a run: what still waits is tried until it is gone or no time is left; how many are left."""
        until = self.monotonic() + LAST_PATIENCE
        while self.pending and self.monotonic() < until:
            self.deliver(until - self.monotonic())
            soonest = min((line.not_before for line in self._lines.values() if line.waiting), default=0.0)
            if self.pending:
                self.wait(min(max(0.05, soonest - self.monotonic()), max(0.0, until - self.monotonic())))
        if self.pending:
            self.tell(f"alerts: {self.pending:,} still wait for their receivers; the job's next start tells them")
        return self.pending

    @property
    def pending(self) -> int:
        """Alerts that wait, each receiver counted."""
        return sum(len(line.waiting) for line in self._lines.values())

    def told(self) -> dict[str, Any]:
        """For the progress: what waits, and outcomes so far, by receiver."""
        return {
            name: {
                "pending": len(line.waiting),
                **{outcome: count for (of, outcome), count in sorted(self.outcomes.items()) if of == name},
            }
            for name, line in self._lines.items()
        }

    def _alerts(self, tables: Sequence[tuple[TableSpec, Sequence[DataFile]]]) -> Iterable[Alert]:
        for spec, files in tables:
            if spec.name in TABLES and files:
                rows = pl.concat(pl.read_parquet(read_verified(self.outputs, each.path, each.sha256)) for each in files)
                # An incident that begins and ends in one epoch is told in that order.
                yield from sorted(alerts_of(spec.name, rows), key=lambda each: (*_order(each), each.key))

    def _offer(self, name: str, line: _Line, batch: Sequence[Waiting], done: list[dict[str, Any]]) -> bool:
        """Whether the batch is dealt with, because it was taken or never will be."""
        outcome, said, pause = self._send(line, [each.alert for each in batch])
        self.outcomes[name, outcome] += len(batch)
        done += [self._logged(name, each, outcome, said) for each in batch]
        if outcome == "delivered":
            if line.pause:
                self.tell(f"alerts: {name} ({line.target.shown}) takes them again")
            line.pause = 0.0
            return True
        if outcome == "refused" and len(batch) > 1:  # one of them is to blame: each is offered by itself
            line.alone = len(batch)
            return False
        if outcome == "refused":
            self._letters(batch, said)
            return True
        if not line.pause:
            self.tell(f"alerts: {name} ({line.target.shown}) does not take them, they wait: {said}")
        line.pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, line.pause * 2))
        line.not_before = self.monotonic() + max(line.pause, pause or 0.0)
        for at, (file, each) in enumerate(line.waiting[: len(batch)]):
            line.waiting[at] = (file, replace(each, tries=each.tries + 1, said=said))
        return False

    def _logged(self, name: str, each: Waiting, outcome: str, said: str) -> dict[str, Any]:
        alert = each.alert
        told = {"at": _iso(self.clock()), "to": name, "key": alert.key, "incident": alert.incident, "rule": alert.rule}
        return {**told, "status": alert.status, "outcome": outcome, "try": each.tries + 1, "said": said}

    def _send(self, line: _Line, alerts: Sequence[Alert]) -> tuple[str, str, float | None]:
        """Outcome, what was said, and the pause that was asked for; an answer is waited for until DEADLINE."""
        if line.hangs and line.hangs.is_alive():
            return "failed", "an earlier request still hangs", None
        found: list[tuple[str, str, float | None]] = []

        def send() -> None:
            try:
                line.target.send(alerts)
                found.append(("delivered", "", None))
            except RefusedError as error:
                found.append(("refused", str(error), None))
            except NotNowError as error:
                found.append(("failed", str(error), error.pause))
            except Exception as error:  # noqa: BLE001  # a receiver of somebody else's: whatever it is may pass
                found.append(("failed", type(error).__name__, None))

        line.hangs = threading.Thread(target=send, name=f"alerts {line.target.shown}", daemon=True)
        line.hangs.start()
        line.hangs.join(DEADLINE)
        return found[0] if found else ("failed", f"no answer within {DEADLINE:.0f} s", None)

    def _expire(self, line: _Line, touched: set[str]) -> None:
        """What has waited too long becomes letters."""
        oldest = self.clock() - int(self.keep * 1000)
        gone = [each for each in line.waiting if each[1].since < oldest]
        if gone:
            line.waiting = [each for each in line.waiting if each[1].since >= oldest]
            self._set_aside(gone, "waited too long", touched)

    def _limit(self, line: _Line, touched: set[str]) -> None:
        """What is more than may wait becomes letters, once its receiver has been asked; the first first."""
        gone = line.waiting[: max(0, len(line.waiting) - MOST)]
        if gone:
            del line.waiting[: len(gone)]
            self._set_aside(gone, f"{MOST:,} later ones wait already", touched)

    def _set_aside(self, gone: Sequence[tuple[str, Waiting]], why: str, touched: set[str]) -> None:
        self._letters([each for _, each in gone], why)
        touched |= {file for file, _ in gone}

    def _letters(self, entries: Sequence[Waiting], why: str) -> None:
        """Keep what will never be taken, where people find it."""
        self._mail.lay_aside(entries, why)
        self.outcomes.update((each.to, "letters") for each in entries)
        self.tell(f"alerts: {len(entries)} for {entries[0].to} became letters: {why}; `alerts letters` shows them")

    def _store(self, names: Iterable[str]) -> None:
        """Write what still waits of these files; one of which nothing waits goes."""
        for name in names:
            lines = self._lines.values()
            self._mail.keep(name, [each for line in lines for file, each in line.waiting if file == name])


def _order(alert: Alert) -> tuple[str, str, bool]:
    return alert.starts_at, alert.incident, alert.status != FIRING


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
