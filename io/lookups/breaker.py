"""The circuit breaker of a look-up: pybreaker's states, without its lock around the request."""

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from ecompulse.kernels.enrich.lookup import BreakerConfig

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"
STATES: Final = (CLOSED, HALF_OPEN, OPEN)
"""From good to bad."""


class Breaker:
    """Closed: requests pass. Open: none does. Half open: one passes, to try whether the store is back.

    pybreaker holds a lock while a request runs, so that threads that ask a hanging store would wait for each other,
    each its deadline. Here it is asked before a request and told afterwards.
    """

    def __init__(self, config: BreakerConfig) -> None:
        import pybreaker  # noqa: PLC0415  # brings Redis' client with it: 0.2 s for who has no look-up

        self._reset = timedelta(milliseconds=config.reset)
        self._storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=config.failures,
            reset_timeout=self._reset.total_seconds(),
            state_storage=self._storage,
            throw_new_error_on_trip=False,
        )
        self._lock = threading.Lock()
        self._trying = False
        self.opened = 0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half_open`."""
        return str(self._storage.state).replace("-", "_")

    def admit(self) -> bool:
        """Whether a request may be made now; who gets True must call `record`."""
        with self._lock:
            if self.state == OPEN:
                opened = self._storage.opened_at
                if opened is not None and datetime.now(UTC) < opened + self._reset:
                    return False
                self._breaker.half_open()
                self._trying = False
            if self.state == HALF_OPEN:
                if self._trying:
                    return False
                self._trying = True
            return True

    def record(self, *, good: bool) -> None:
        """How a request went that was admitted."""
        with self._lock:
            before, self._trying = self.state, False
            if before == OPEN:  # a request from before it opened
                return
            with suppress(_Bad):
                self._breaker.call(_pass if good else _fail)
            self.opened += self.state == OPEN


class _Bad(Exception):  # noqa: N818  # never leaves this module
    pass


def _pass() -> None:
    pass


def _fail() -> None:
    raise _Bad
