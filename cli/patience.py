"""The start of a job asks services that may be late; and the clock that jobs go by."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.masking import without_secrets
from ecompulse.epochs.retry_policy import Retries, RetryPolicy, may_pass
from ecompulse.io.terminal import say

Found = TypeVar("Found")

_STARTS: Final = 5  # times that a service is asked at the start: some four seconds


@dataclass(frozen=True)
class Patience:
    """Calls at the start what asks services: one that does not answer is asked again, and the user is told."""

    program: str
    attempts: int

    def __call__(self, body: Callable[[], Found]) -> Found:
        """What `body` returns, or its last error."""
        said = Counter[str]()

        def ask() -> Found:
            try:
                return body()
            except JobError as error:
                if self.attempts > 1 and not said and may_pass(error):
                    said.update(["said"])
                    say(f"{self.program}: {without_secrets(str(error))} (trying again)")
                raise

        return RetryPolicy(WallClock(), threading.Event())(ask, self.attempts, Retries(), "start", JobError)


def patience(program: str, attempts: int) -> Patience:
    """As much as the start of a job has, for one that offers an epoch `attempts` times."""
    return Patience(program, min(_STARTS, attempts))


class WallClock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC, in ms."""
        return time.time_ns() // 1_000_000

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Sleep, or until `stop`."""
        stop.wait(seconds)
