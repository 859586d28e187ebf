"""A Beam pipeline as a graph of primitives, and what is refused."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import PipelineVisitor
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.runners.common import DoFnSignature

from ecompulse.epochs.errors import UserError


class Kind(Enum):
    """What a node does with an element."""

    IMPULSE = "impulse"  # is one element
    DO = "do"
    GROUP = "group"  # keeps it until all have come
    SPREAD = "spread"  # keeps it, and hands it to whoever is free
    PASS = "pass"  # noqa: S105  # hands it on: a flatten


BREAKS = frozenset({Kind.IMPULSE, Kind.GROUP, Kind.SPREAD})
"""Nodes that a round of work starts from."""


@dataclass
class Node:
    """A primitive.

    Attributes:
        index: place in an order in which inputs come first.
        level: round of work in which it is fed, or for one of BREAKS, which it feeds.
        fn: of a DO.
        call: positional and keyword arguments of `fn.process` beside the element.
        windowing: of its output.
        behind: indices of all nodes that it follows.
        ways: by tag of the output, the nodes that take it; None is the main one.
    """

    index: int
    label: str
    kind: Kind
    level: int
    windowing: Any
    fn: Any = None
    call: tuple[Sequence[Any], Mapping[str, Any]] = ((), {})
    behind: frozenset[int] = frozenset()
    ways: dict[str | None, list["Node"]] = field(default_factory=lambda: defaultdict(list))

    @property
    def gathers(self) -> bool:
        """Whether a DO keeps what comes until its bundle ends, so that one for all threads is better than one each."""
        return bool(getattr(self.fn, "gathers", False))


def read_graph(pipeline: beam.Pipeline) -> list[Node]:
    """The primitives of a pipeline, inputs first; UserError names a step that this engine does not do."""
    graph = _Graph()
    pipeline.visit(graph)
    return graph.nodes


class _Graph(PipelineVisitor):
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._made: dict[PCollection, tuple[Node, str | None]] = {}
        self._within: Any = None  # a reshuffle, whose parts are of no interest

    def enter_composite_transform(self, transform_node: Any) -> None:
        if self._within is None and isinstance(
            transform_node.transform, beam.Reshuffle | beam.transforms.util.ReshufflePerKey
        ):
            self._within = transform_node
            self._add(transform_node, Kind.SPREAD)

    def leave_composite_transform(self, transform_node: Any) -> None:
        if self._within is transform_node:
            self._within = None

    def visit_transform(self, transform_node: Any) -> None:
        if self._within is None:
            self._add(transform_node, _kind_of(transform_node))

    def _add(self, applied: Any, kind: Kind) -> None:
        sources = [self._made[given] for given in applied.inputs if not isinstance(given, PBegin)]
        level = max((node.level for node, _ in sources), default=0) + (kind in {Kind.GROUP, Kind.SPREAD})
        outputs = dict(applied.outputs)
        windowing = next((found.windowing for found in outputs.values()), None)
        behind = frozenset().union(*(node.behind | {node.index} for node, _ in sources))
        node = Node(len(self.nodes), applied.full_label, kind, level, windowing, behind=behind)
        if kind is Kind.DO:
            node.fn = applied.transform.fn
            node.call = (applied.transform.args, applied.transform.kwargs)
        if kind is Kind.GROUP:
            node.windowing = applied.inputs[0].windowing
        self.nodes.append(node)
        for source, tag in sources:
            source.ways[tag].append(node)
        for tag, found in outputs.items():
            self._made[found] = node, tag


def _kind_of(applied: Any) -> Kind:
    transform = applied.transform
    for given in applied.inputs:
        if not getattr(given, "is_bounded", True):
            raise _refused(applied, "an unbounded input")
    if isinstance(transform, beam.ParDo):
        _require_plain(applied)
        return Kind.DO
    kinds = {beam.Impulse: Kind.IMPULSE, beam.GroupByKey: Kind.GROUP, beam.Flatten: Kind.PASS}
    found = next((kind for primitive, kind in kinds.items() if isinstance(transform, primitive)), None)
    if found is None:
        raise _refused(applied, type(transform).__name__)
    return found


def _require_plain(applied: Any) -> None:
    """UserError for a DoFn that asks for more than its element, its window and its time."""
    fn, signature = applied.transform.fn, DoFnSignature(applied.transform.fn)
    asked = {
        "side inputs": bool(applied.side_inputs),
        "state or timers": signature.is_stateful_dofn(),
        "a splittable DoFn": signature.is_splittable_dofn(),
        "bundle finalizers": signature.has_bundle_finalization(),
        "a DoFn of Beam's batches": not fn._process_defined,  # noqa: SLF001  # there is no public way to ask
    }
    for what, wanted in asked.items():
        if wanted:
            raise _refused(applied, what)


def _refused(applied: Any, what: str) -> UserError:
    return UserError(
        f"--runner: LocalRunner runs no pipeline with {what} (step {applied.full_label}); --runner=DirectRunner does"
    )
