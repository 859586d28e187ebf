"""Whether a job is alive, and whether it is ready: answers to an orchestrator's probes, from its driver's loop.

Alive: the driver's last sign of life (a pass of its loop, a step of an epoch, a pause before a retry) is no older than
a limit. A pause that it chose itself, such as until the next trigger, does not count as silence. Ready: its loop has
completed one pass since its start: an epoch was committed, or there was nothing to do.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ecompulse.epochs.protocols import Clockwork
from ecompulse.epochs.steps import Step


@dataclass(frozen=True)
class Answer:
    """Of a probe.

    Attributes:
        good: whether the probe passes.
        text: why, in a line.
    """

    good: bool
    text: str


@dataclass
class Health:
    """Signs of life of one driver; thread-safe.

    Attributes:
        limit: seconds of silence from which the job counts as stuck.
        clock: monotonic seconds.
    """

    limit: float
    clock: Callable[[], float] = time.monotonic
    _last: str = "the start"
    _at: float = field(init=False)
    _due: float = field(init=False)
    _turned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._sign(self._last)

    def reached(self, step: Step) -> None:
        """An epoch has come to a step."""
        self._sign(f"the step {step.value}")

    def turned(self) -> None:
        """The loop has completed a pass: an epoch is committed, or there was nothing to do."""
        self._sign("a turn of the loop", turned=True)

    def pauses(self, seconds: float) -> None:
        """The driver pauses for so many seconds on purpose."""
        self._sign("a pause", rest=seconds)

    def alive(self) -> Answer:
        """Whether the loop makes progress."""
        with self._lock:
            now = self.clock()
            silent = f"{now - self._at:.0f} s since {self._last}"
            if now > self._due:
                return Answer(good=False, text=f"stuck: {silent}, more than the limit of {self.limit:.0f} s")
            return Answer(good=True, text=f"alive: {silent}")

    def ready(self) -> Answer:
        """Whether the first pass is complete."""
        with self._lock:
            if self._turned:
                return Answer(good=True, text="ready")
            return Answer(good=False, text="not ready: no epoch was committed since the start")

    def _sign(self, what: str, *, rest: float = 0.0, turned: bool = False) -> None:
        with self._lock:
            self._last, self._at = what, self.clock()
            self._due = self._at + rest + self.limit
            self._turned |= turned


@dataclass(frozen=True)
class ObservedClock:
    """A driver's clock whose pauses are signs of life.

    Attributes:
        clock: the clock that is observed.
    """

    clock: Clockwork
    health: Health

    def now(self) -> int:
        """UTC, in ms."""
        return self.clock.now()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after `seconds`, or when `stop` is set."""
        self.health.pauses(seconds)
        self.clock.wait(seconds, stop)
