"""A signal may come at any instruction of a wait, also where that holds a lock, and must not block it."""

import signal
import sys
import threading
from collections.abc import Callable

import pytest

from ecompulse.io.signals import stop_on_signals

pytestmark = pytest.mark.slow  # a process


@pytest.fixture(autouse=True)
def _handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def waited(stop: threading.Event, seconds: float, each_step: Callable[[], None]) -> threading.Thread:
    """A thread that waits for `stop`, with a call before each instruction of threading's own code."""

    def step(frame, event, _argument):
        if frame.f_code.co_filename != threading.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            each_step()
        return step

    def body() -> None:
        sys.settrace(step)
        stop.wait(seconds)
        sys.settrace(None)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


def test_a_signal_at_any_instruction_of_a_wait_does_not_block_it():
    steps: list[None] = []
    waited(threading.Event(), 0.001, lambda: steps.append(None)).join()
    assert len(steps) > 50
    for at in range(len(steps)):
        stop, left = stop_on_signals(), iter(range(at, -1, -1))
        handler = signal.getsignal(signal.SIGTERM)

        def maybe(left=left, handler=handler) -> None:
            if next(left, None) == 0:
                handler(signal.SIGTERM, None)

        thread = waited(stop, 0.05, maybe)
        thread.join(timeout=30)
        assert not thread.is_alive(), f"instruction {at} of {len(steps)}"
        assert stop.wait(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_sets_and_a_further_one_is_told(number):
    told: list[object] = []
    stop = stop_on_signals(first=lambda: told.append("first"), again=told.append)
    assert not stop.is_set()
    signal.raise_signal(number)
    assert stop.wait(30)
    signal.raise_signal(signal.SIGINT)
    assert told == ["first", signal.SIGINT]
