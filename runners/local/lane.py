"""A lane: copies of a graph's DoFns that one thread at a time may enter."""

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.runners.common import DoFnRunner, Receiver

from ecompulse.runners.local.graph import BREAKS, Kind, Node


class Stopped(Exception):  # noqa: N818  # no fault: another lane has failed, and this one need not go on
    """Ends the work of a lane."""


class Watch(Protocol):
    """Sees every element that is handed on; see `frozen`."""

    def before(self, value: Any) -> None:
        """It is about to be handed to a node."""
        ...

    def after(self, node: Node, value: Any) -> None:
        """The node has had it."""
        ...


Found = dict[int, list[Any]]
"""Windowed values for nodes of BREAKS, by the node's index."""


class Step:
    """A DoFn that is executed; its bundle begins with its first element of a run.

    Attributes:
        lane: who enters it now; what it makes goes on there.
    """

    def __init__(self, node: Node, fn: beam.DoFn) -> None:
        """`fn`: a copy of the node's own."""
        self.node = node
        self.lane: Lane
        self._begun = self._ready = False
        self._tears = type(fn).setup is not beam.DoFn.setup or type(fn).teardown is not beam.DoFn.teardown
        args, kwargs = node.call
        ways = _Ways(self)
        self._runner = DoFnRunner(fn, args, kwargs, [], node.windowing, ways, step_name=node.label)

    def take(self, value: Any) -> None:
        """One element."""
        if not self._begun:
            self._begun = True
            if not self._ready:
                self._ready = True
                self._runner.setup()
            self._runner.start()
        self._runner.process(value)

    def finish(self) -> None:
        """End the bundle."""
        if self._begun:
            self._runner.finish()
            self._begun = False

    def close(self) -> None:
        """End the DoFn's life, where it makes a difference to it."""
        if self._ready and self._tears:
            self._ready = False
            self._runner.teardown()


class _Ways(dict[str | None, Receiver]):
    """Receivers by tag, made as they are asked for: also of outputs that nobody reads."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step

    def __missing__(self, tag: str | None) -> Receiver:
        self[tag] = receiver = _Way(self._step, self._step.node.ways.get(tag, ()))
        return receiver


class _Way(Receiver):
    def __init__(self, step: Step, nodes: Sequence[Node]) -> None:
        self._step = step
        self._nodes = nodes

    def receive(self, windowed_value: Any) -> None:
        self._step.lane.send(self._nodes, windowed_value)


class Shared:
    """What all lanes of an engine have together.

    Attributes:
        failed: set when one lane has failed.
        steps: DoFns that gather, with their locks, by the node's index.
    """

    def __init__(self, steps: dict[int, Step], watch: Watch | None) -> None:
        """`watch`: for tests."""
        self.failed = threading.Event()
        self.steps = {index: (step, threading.RLock()) for index, step in steps.items()}
        self.watch = watch

    def close(self) -> None:
        """End the lives of its DoFns."""
        for step, _ in self.steps.values():
            step.close()


class Lane:
    """Executes what one thread at a time brings, depth first, up to the next node of BREAKS."""

    def __init__(self, steps: dict[int, Step], shared: Shared) -> None:
        """`steps` by the node's index, this lane's own."""
        self._steps = steps
        self._shared = shared
        self.found: Found = {}
        for step in steps.values():
            step.lane = self

    def send(self, nodes: Sequence[Node], value: Any) -> None:
        """Hand an element to each of these nodes."""
        if self._shared.failed.is_set():
            raise Stopped
        watch = self._shared.watch
        if watch:
            watch.before(value.value)
        for node in nodes:
            self._give(node, value)
            if watch:
                watch.after(node, value.value)

    def _give(self, node: Node, value: Any) -> None:
        if node.kind in BREAKS:
            self.found.setdefault(node.index, []).append(value)
        elif node.kind is Kind.PASS:
            self.send(node.ways[None], value)
        elif node.index in self._steps:
            self._steps[node.index].take(value)
        else:
            step, lock = self._shared.steps[node.index]
            with lock:
                step.lane = self
                step.take(value)

    def finish(self, node: Node) -> None:
        """End the bundle of a DoFn of this lane, or of one that gathers."""
        if node.index in self._steps:
            self._steps[node.index].finish()
            return
        step, lock = self._shared.steps[node.index]
        with lock:
            step.lane = self
            step.finish()

    def taken(self) -> Found:
        """What was found since the last call."""
        found, self.found = self.found, {}
        return found

    def close(self) -> None:
        """End the lives of its DoFns."""
        for step in self._steps.values():
            step.close()
