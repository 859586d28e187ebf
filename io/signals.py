"""SIGTERM and SIGINT as a request to stop."""

import _thread
import signal
import threading
from collections.abc import Callable


def stop_on_signals(
    first: Callable[[], object] = lambda: None, again: Callable[[int], object] = lambda _number: None
) -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets, as soon as another thread runs; call it in the main thread.

    Args:
        first: called at the first signal, in its handler: no locks, no buffered output.
        again: called at each further one, with its number.
    """
    stop, asked = threading.Event(), list[int]()

    def request(number: int, _frame: object) -> None:
        if asked:
            again(number)
            return
        asked.append(number)
        # set() here would wait for a lock that the wait() it interrupts may hold, for ever; starting a
        # threading.Thread takes a lock too.
        _thread.start_new_thread(stop.set, ())
        first()

    signal.signal(signal.SIGTERM, request)
    signal.signal(signal.SIGINT, request)
    return stop
