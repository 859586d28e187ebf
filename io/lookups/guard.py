"""What stands between a cache and its store: a deadline that bounds, retries, a circuit breaker, and their counts."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

import polars as pl
import tenacity

from ecompulse.io.lookups.breaker import Breaker
from ecompulse.io.lookups.store import LookupFailed, RemoteStore, Store
from ecompulse.kernels.enrich.lookup import BreakerConfig

T = TypeVar("T")

_MOST_HANGING: Final = 8  # requests past their deadline whose threads have not ended
_FIRST_PAUSE: Final = 0.05  # seconds
_LONGEST_PAUSE: Final = 2.0


@dataclass(frozen=True)
class Policy:
    """How a store is asked.

    Attributes:
        name: of the look-up, for messages.
        deadline: ms for one request with all its retries.
        retries: further attempts after a failed one.
        breaker: see BreakerConfig.
    """

    name: str
    deadline: int = 5_000
    retries: int = 2
    breaker: BreakerConfig = field(default_factory=BreakerConfig)


@dataclass
class Trouble:
    """What a guard has seen since the process began; all count requests but `retries`, which counts attempts.

    Attributes:
        retries: attempts after a failed one.
        timeouts: requests that ended at their deadline.
        failures: requests that failed, those at their deadline included.
        refused: requests that the open breaker did not let through.
        opened: how often the breaker opened.
    """

    retries: int = 0
    timeouts: int = 0
    failures: int = 0
    refused: int = 0
    opened: int = 0


class GuardedStore:
    """A store that answers or fails within its deadline.

    A request to a server runs in a thread of its own, as nothing else bounds a name that does not resolve, a server
    that accepts and is silent, or one that sends a byte a second. At the deadline its connections are closed, which
    ends the thread. Stores in this process are called directly: SQLite keeps the deadline itself, a file takes the time
    that it takes.
    """

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store = store
        self._remote: RemoteStore | None = store if hasattr(store, "abandon") else None  # type: ignore[assignment]
        self._policy = policy
        self._breaker = Breaker(policy.breaker)
        self._trouble = Trouble()
        self._lock = threading.Lock()
        self._hanging = threading.BoundedSemaphore(_MOST_HANGING)

    @property
    def columns(self) -> pl.Schema:
        """Those of the store."""
        return self._store.columns

    @property
    def state(self) -> str:
        """Of the breaker: `closed`, `open` or `half_open`."""
        return self._breaker.state

    def trouble(self) -> Trouble:
        """A copy of the counts."""
        with self._lock:
            return replace(self._trouble, opened=self._breaker.opened)

    def check(self) -> None:
        """Ask a server once: LookupFailed when it does not answer, ValueError when it will not let us in; one line."""
        if self._remote is None:
            return
        try:
            self._within(lambda _over: self._remote.check() if self._remote else None)
        except LookupFailed as error:
            if isinstance(error.__cause__, ValueError):
                raise ValueError(str(error)) from None  # noqa: TRY004  # it was one
            raise

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        """See Store."""
        if not self._breaker.admit():
            self._count(refused=1)
            raise LookupFailed(f"{self._policy.name}: left alone after {self._policy.breaker.failures} failures")
        good = False
        try:
            found = self._within(lambda over: self._attempts(keys, over))
            good = True
        except LookupFailed:
            self._count(failures=1)
            raise
        finally:
            self._breaker.record(good=good)
        return found

    def _attempts(self, keys: pl.Series, over: threading.Event) -> pl.DataFrame:
        """Ask until there is an answer, or no time or attempt is left."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._policy.retries + 1)
            | tenacity.stop_before_delay(self._policy.deadline / 1000)
            | tenacity.stop_when_event_set(over),
            wait=tenacity.wait_exponential_jitter(initial=_FIRST_PAUSE, max=_LONGEST_PAUSE, jitter=_FIRST_PAUSE),
            sleep=tenacity.sleep_using_event(over),
            before_sleep=lambda _state: self._count(retries=1),
            reraise=True,
        )
        return retrying(self._store.fetch, keys)

    def _within(self, work: Callable[[threading.Event], T]) -> T:
        if self._remote is None:
            return self._named(lambda: work(threading.Event()))
        if not self._hanging.acquire(blocking=False):
            raise LookupFailed(f"{self._policy.name}: {_MOST_HANGING} earlier requests still hang")
        request = _Request(work, self._hanging.release)
        threading.Thread(target=request.run, name=f"look-up {self._policy.name}", daemon=True).start()
        if not request.done.wait(self._policy.deadline / 1000):
            request.over.set()
            self._count(timeouts=1)
            self._remote.abandon()
            raise LookupFailed(f"{self._policy.name}: no answer within {self._policy.deadline} ms")
        return self._named(request.result)

    def _named(self, call: Callable[[], T]) -> T:
        """The result, or the failure with the name of the look-up."""
        try:
            return call()
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise LookupFailed(f"{self._policy.name}: {text}") from error

    def _count(self, *, retries: int = 0, timeouts: int = 0, failures: int = 0, refused: int = 0) -> None:
        with self._lock:
            self._trouble.retries += retries
            self._trouble.timeouts += timeouts
            self._trouble.failures += failures
            self._trouble.refused += refused


class _Request(Generic[T]):
    """One call in a thread of its own; what it gives is kept, or what it raised."""

    def __init__(self, work: Callable[[threading.Event], T], release: Callable[[], None]) -> None:
        self.over = threading.Event()
        self.done = threading.Event()
        self._work = work
        self._release = release
        self._found: list[T] = []
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._found.append(self._work(self.over))
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            self._error = error
        finally:
            self._release()
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._found[0]
