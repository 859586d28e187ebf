"""Retries: calls to the outside are tried a bounded number of times, with growing, random pauses."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_any, stop_when_event_set
from tenacity.wait import wait_random_exponential

from ecompulse.epochs.errors import JobError, Refused, StateDamaged, Superseded, Unusable, UserError
from ecompulse.epochs.masking import without_secrets

Result = TypeVar("Result")

FIRST_PAUSE: Final = 0.5  # seconds, at the most; each further one up to double
LONGEST_PAUSE: Final = 20.0


class Waiting(Protocol):
    """Protocol for pauses; a Clockwork implements it."""

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after `seconds`, or when `stop` is set."""
        ...


class Retries(Counter[str]):
    """Numbers of retries, by kind of what failed.

    Attributes:
        errors: the last error of each kind, in one line, without secrets.
    """

    def __init__(self) -> None:
        """None yet."""
        super().__init__()
        self.errors: dict[str, str] = {}

    def failed(self, kind: str, error: BaseException | None) -> None:
        """An attempt failed, and another one follows."""
        self[kind] += 1
        if isinstance(error, Exception):
            self.errors[kind] = without_secrets(one_line(error))


@dataclass(frozen=True)
class RetryPolicy:
    """How a driver retries. A request to stop ends the retries after the current attempt.

    Attributes:
        failed: called with the kind and the error of each attempt that another one follows.
    """

    clock: Waiting
    stop: threading.Event
    failed: Callable[[str, BaseException | None], None] = lambda _kind, _error: None

    def __call__(
        self,
        body: Callable[[], Result],
        attempts: int,
        retries: Retries,
        kind: str,
        of: type[Exception] = Exception,
    ) -> Result:
        """Call `body` until it returns, at most `attempts` times; returns its result, or raises its last error.

        `retries` notes each retry under `kind`. Errors other than `of`, and errors that a retry cannot fix, are raised
        at once: a superseded driver, wrong use, refused input, damaged state, an unusable place.
        """

        def note(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            retries.failed(kind, error)
            self.failed(kind, error)

        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, of) and may_pass(error)),
            stop=stop_any(stop_after_attempt(attempts), stop_when_event_set(self.stop)),
            wait=wait_random_exponential(FIRST_PAUSE, max=LONGEST_PAUSE),
            sleep=lambda seconds: self.clock.wait(seconds, self.stop),
            before_sleep=note,
            reraise=True,
        )(body)


def may_pass(error: BaseException) -> bool:
    """Whether a retry makes sense after this error."""
    lasting = Superseded | Refused | UserError | StateDamaged | Unusable
    return isinstance(error, Exception) and not isinstance(error, lasting)


def one_line(error: Exception) -> str:
    """The message of an error, in one line."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else "no message"
    return first if isinstance(error, JobError | UserError) else f"{type(error).__name__}: {first}"
