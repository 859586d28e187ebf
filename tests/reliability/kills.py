"""A seeded schedule of SIGKILLs for a job that follows a live topic, and for its servers."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ecompulse.epochs.steps import Step
from services.server import Server
from support.live import Life, LiveShop

JOB: Final = "job"
STEPS: Final = [step.value for step in Step if not step.value.startswith(("jsonl.", "alerts."))]
AT: Final = {
    "kafka": ["planned", "reading", *(step for step in STEPS if step.startswith("kafka."))],
    "postgres": ["sealed", "lake.committed", "warehouse.before_commit", "warehouse.committed"],
    "redis": ["planned", "reading"],
}
"""Where the job stands when a server dies that it is about to use, or is using."""

PER_LIFE: Final = {"kafka.initialised": 2, "kafka.ledger_read": 1}
"""Steps that a life passes so often at its start, and not once per epoch."""

BETWEEN: Final = {"committed", "collected"}
"""After these steps, and before the next, no epoch is under way: a kill there hits nothing."""

IDLE: Final = {*BETWEEN, "kafka.initialised"}
LONG: Final = 3.0  # seconds after a step in which nothing would be in the way of the next one
LIFE: Final = 90.0  # seconds in which a life must come to its step


@dataclass(frozen=True)
class Kill:
    """A SIGKILL and what it met.

    Attributes:
        target: `job`, or a server.
        step: the last that the job had reached.
        hit: whether it met an epoch under way; a server's, whether the job noticed.
        note: how, and what came of it.
    """

    target: str
    step: str
    hit: bool
    note: str


@dataclass
class Chaos:
    """A job under a schedule of kills.

    Attributes:
        kills: of the job, that must hit something.
        each: kills of each server, likewise.
    """

    shop: LiveShop
    kills: int
    each: int
    seed: int
    say: Callable[[str], None]
    done: list[Kill] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._steps = self._forever(STEPS)
        self._at = {name: self._forever(steps) for name, steps in AT.items()}

    def _forever(self, steps: list[str]) -> Iterator[str]:
        """The steps in random order, each as often as the others."""
        while True:
            yield from self._random.sample(steps, len(steps))

    def _some(self, step: str) -> str:
        """The step at a random one of its first occurrences in a life."""
        return f"{step}:{self._random.randint(1, PER_LIFE.get(step, 2))}"

    def hits(self, target: str) -> int:
        """Kills of a target that met something."""
        return sum(kill.hit for kill in self.done if kill.target == target)

    def run(self) -> None:
        """Kill until there were enough; the job lives again after each."""
        while left := self._left():
            target = self._random.choice(left)
            if target != JOB:
                self._kill_server(target)
            elif self._random.random() < 2 / 3:
                self._kill_at_step()
            else:
                self._kill_at_any_moment(self.shop.live())

    def _left(self) -> list[str]:
        """Targets by the number of kills that they still need."""
        wanted = {JOB: self.kills, **dict.fromkeys(AT, self.each)}
        return [name for name, number in wanted.items() for _ in range(number - self.hits(name))]

    def _kill_at_step(self) -> None:
        wanted = self._some(next(self._steps))
        life = self.shop.live(crash_at=wanted)
        if within(LIFE, lambda: life.ended):
            died = life.process.returncode == -signal.SIGKILL
            self._note(JOB, wanted.partition(":")[0], died, f"at {wanted}" if died else ended(life))
        else:
            kill(life)
            self._note(JOB, last(life), False, f"not at {wanted} within {LIFE:.0f} s")

    def _kill_at_any_moment(self, life: Life) -> None:
        begun = within(LIFE, lambda: life.ended or under_way(life))
        time.sleep(self._random.uniform(0, 3))
        if life.ended or not begun:
            self._note(JOB, last(life), False, ended(life))
            return
        kill(life)
        self._note(JOB, last(life), under_way(life), "at a moment")

    def _kill_server(self, name: str) -> None:
        server: Server = getattr(self.shop.servers, name)
        wanted = self._some(next(self._at[name]))
        away = self._random.uniform(0.5, 4)
        life = self.shop.live(sleep_at=wanted)
        if not within(LIFE, lambda: life.asleep or life.ended) or life.ended:
            kill(life)
            self._note(name, last(life), False, f"not at {wanted}: {ended(life)}")
            return
        told = len(life.progress)
        server.kill()
        life.process.send_signal(signal.SIGCONT)
        gone = time.time()
        time.sleep(away)
        server.start()
        back = time.time()
        within(LIFE, lambda: life.ended or len(life.progress) > told + 1)
        seen = noticed(life, told) or held_up(life, gone, back)
        self._note(name, wanted.partition(":")[0], bool(seen), f"at {wanted}, away {away:.1f} s: {seen or 'unnoticed'}")
        if not life.ended:
            self._kill_at_any_moment(life)

    def _note(self, target: str, step: str, hit: bool, note: str) -> None:
        self.done.append(Kill(target, step, hit, note))
        number = f"{self.hits(target)}" if hit else "-"
        self.say(f"{target:9} {number:>4}  {step:24} {note}")

    def drain(self) -> None:
        """Let the job read to the end of the topic."""
        for _ in range(3):
            if self.shop.live("--trigger=available-now").wait() == 0:
                return
        raise AssertionError(f"the job does not come to an end: {self.shop.lives[-1].said}")

    def table(self) -> list[str]:
        """Hits by step and target, in the order of the steps."""
        counts = Counter((kill.step, kill.target) for kill in self.done if kill.hit)
        targets = [JOB, *AT]
        lines = [f"{'step':24}" + "".join(f"{target:>10}" for target in targets)]
        lines += [
            f"{step:24}" + "".join(f"{counts[step, target] or '':>10}" for target in targets)
            for step in STEPS
            if any(counts[step, target] for target in targets)
        ]
        missed = sum(not kill.hit for kill in self.done)
        sums = "".join(f"{self.hits(target):>10}" for target in targets)
        return [*lines, f"{'all':24}{sums}", f"not counted, since they hit nothing: {missed}"]


def within(seconds: float, condition: Callable[[], Any]) -> bool:
    """Whether it comes true in this time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def last(life: Life) -> str:
    """The step that it has reached last."""
    return life.trace[-1] if life.trace else "no step"


def under_way(life: Life) -> bool:
    """Whether it has an epoch in hand: one begun, or one found sealed."""
    return bool(life.trace) and last(life) not in IDLE


def kill(life: Life) -> None:
    """SIGKILL, and wait for its end."""
    life.process.kill()
    life.process.wait()


def ended(life: Life) -> str:
    """How it has ended, in a line."""
    lines = life.said.strip().splitlines()
    return f"ended with {life.process.returncode}: {lines[-1] if lines else ''}"


def noticed(life: Life, told: int) -> str:
    """What a life says of a server's death, in its progress since or by its end; nothing when it went by unseen."""
    within(10, lambda: life.ended) if life.said else None
    if life.ended:
        return ended(life)
    found: Counter[str] = Counter()
    for progress in life.progress[told:]:
        found.update({f"retries of {kind}": number for kind, number in progress["retries"].items()})
        for step in progress["lookups"].values():
            found.update({"failed look-ups": step["failures"], "repeated look-ups": step["retries"]})
    return ", ".join(f"{number} {what}" for what, number in found.items() if number)


def held_up(life: Life, gone: float, back: float) -> str:
    """Whether an epoch waited until a server was back, its client trying again by itself; times as in `Life.times`."""
    before = [(at, step) for at, step in life.times if at < back]
    after = [at for at, _ in life.times if at >= back]
    if not before or before[-1][1] in BETWEEN:
        return ""
    waited = (after[0] if after else time.time()) - max(before[-1][0], gone)
    return f"held up for {waited:.1f} s after {before[-1][1]}" if waited > LONG else ""
