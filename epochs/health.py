"""Is a job alive, and is it ready? What the probes of an orchestrator ask, answered from the turns of its driver.

Alive: the driver has given a sign of life (a turn of its loop, a step of an epoch, a pause before it tries again) no
longer ago than a limit. A pause that it chose itself, such as until the next trigger, is no silence. Ready: it has
turned once since its start, which means an epoch was committed, or there was nothing to do.
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
    """Signs of life of one driver; threads may give and ask at once.

    Attributes:
        limit: seconds of silence from which the job counts as stuck.
        clock: seconds that never go back.
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
        """The loop has turned: an epoch is committed, or there was nothing to do."""
        self._sign("a turn of the loop", turned=True)

    def pauses(self, seconds: float) -> None:
        """The driver lets so much time pass on purpose."""
        self._sign("a pause", rest=seconds)

    def alive(self) -> Answer:
        """Whether the loop turns."""
        with self._lock:
            now = self.clock()
            silent = f"{now - self._at:.0f} s since {self._last}"
            if now > self._due:
                return Answer(good=False, text=f"stuck: {silent}, more than the limit of {self.limit:.0f} s")
            return Answer(good=True, text=f"alive: {silent}")

    def ready(self) -> Answer:
        """Whether the first turn is over."""
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
        clock: what tells and passes the time.
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
