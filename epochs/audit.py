"""The audit of a run: the counts in its manifest must add up before the epoch is sealed.

An engine can lose or repeat a bundle and report success. So every transform reports how many rows came in and went out.
What one transform handed on, the next must have received, whatever lies between them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from ecompulse.epochs.counted import FACTS, MAIN, CountedDoFn
from ecompulse.epochs.keyed import StepShard
from ecompulse.epochs.manifest import Manifest
from ecompulse.epochs.plan import Operator, Plan
from ecompulse.epochs.sinks import TableSpec

Term = tuple[str, str]
"""Rows that a node has handed on: its name, and the tag of its output."""

_OWN: Final = re.compile(r"(/Do)?/ParDo\(\w+\)$")
"""Suffix that CountedParDo and Beam add to the label of a transform."""

_TOLD: Final = {"further": -1, "skipped": 1}
"""Numbers that decoding reports: events beyond the first of a row, and rows that the mapping skips."""

_SHOWN: Final = 3  # of what does not fit, in the line of an error


@dataclass(frozen=True)
class Link:
    """What a node has received must be what these terms have handed on, summed."""

    node: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Graph:
    """A job's pipeline as the driver and the audit of its runs see it.

    Attributes:
        tables: what the job writes.
        operators: its keyed operators, each once.
        links: every node whose input is rows.
        accounts: where each row that was read ended, by name; together they add up to all rows that were read.
    """

    tables: Sequence[TableSpec] = ()
    operators: Sequence[Operator] = ()
    links: Sequence[Link] = ()
    accounts: Mapping[str, Sequence[Term]] = field(default_factory=dict)

    def balance(self, manifest: Manifest) -> dict[str, int]:
        """Rows by account; for a row that gave several events, all but one are subtracted."""
        found = {name: _sum(manifest, terms) for name, terms in self.accounts.items()}
        told = {name: sign * manifest.counts.get(name, 0) for name, sign in _TOLD.items()} if found else {}
        return {**found, **{name: rows for name, rows in told.items() if rows}}


def misfits(plan: Plan, manifest: Manifest, graph: Graph) -> list[str]:
    """The differences that the audit found, one line each; empty when the run adds up."""
    return [
        *_splits(plan, manifest),
        *_shards(plan, manifest),
        *_files(manifest, graph),
        *_links(manifest, graph.links),
        *_accounts(manifest, graph),
    ]


def summary(lines: Sequence[str]) -> str:
    """The first misfits, for the line of an error."""
    more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more


def _splits(plan: Plan, manifest: Manifest) -> Iterator[str]:
    """Check that every split is reported once, with its planned number of rows, or fewer if the source has gaps."""
    for index, split in enumerate(plan.splits):
        told = manifest.splits.get(str(index), [])
        name = f"split {index} ({split.uri} {split.start}-{split.end})"
        if len(told) != 1:
            yield f"{name} was told {len(told)} times"
        elif told[0] > split.rows or (split.exact and told[0] < split.rows):
            yield f"{name} has {split.rows} rows, and {told[0]} were read"
    strange = manifest.splits.keys() - {str(index) for index in range(len(plan.splits))}
    yield from (f"split {index} is not of this plan" for index in sorted(strange))


def _shards(plan: Plan, manifest: Manifest) -> Iterator[str]:
    """Check that every shard of every operator is reported once."""
    for operator, shards in plan.state.items():
        told = manifest.shards.get(operator, {})
        for shard in sorted({*shards, *told}, key=int):
            times = told.get(shard, 0)
            if times != 1 or shard not in shards:
                yield f"shard {shard} of {operator} was told {times} times"
    strange = manifest.shards.keys() - plan.state.keys()
    yield from (f"operator {operator} is not of this plan" for operator in sorted(strange))


def _files(manifest: Manifest, graph: Graph) -> Iterator[str]:
    """Check that every table's files hold the rows that reached the write, and that no file is reported twice."""
    writers = {spec.name: writer_of(spec.name) for spec in graph.tables}
    for table in sorted({*writers, *manifest.files}):
        files = manifest.files.get(table, [])
        for path, times in Counter(file["path"] for file in files).items():
            if times > 1:
                yield f"file {path} was told {times} times"
        rows, node = manifest.written.get(table, 0), writers.get(table)
        came = manifest.came(node) if node is not None else 0
        if rows != came:
            yield f"table {table}: {came} rows came to be written, its files hold {rows}"


def writer_of(table: str) -> str:
    """The node that writes a table."""
    return f"Write {table}"


def _links(manifest: Manifest, links: Iterable[Link]) -> Iterator[str]:
    for link in links:
        came, went = manifest.came(link.node), _sum(manifest, link.terms)
        if came != went:
            sources = ", ".join(dict.fromkeys(node for node, _ in link.terms)) or "nothing"
            yield f"{link.node}: {came} rows came in, {went} were handed on by {sources}"


def _accounts(manifest: Manifest, graph: Graph) -> Iterator[str]:
    if not graph.accounts:
        return
    balance, read = graph.balance(manifest), manifest.counts.get("input", 0)
    if sum(balance.values()) != read:
        told = " + ".join(f"{rows} {name}" for name, rows in balance.items())
        yield f"{read} rows were read, which are not {told}"


def _sum(manifest: Manifest, terms: Iterable[Term]) -> int:
    return sum(manifest.went(node, tag) for node, tag in terms)


class Nodes(PipelineVisitor):
    """Names the counted nodes of a pipeline, and finds what links them; the pipeline must not have been run.

    Attributes:
        facts: the facts that each of them reports.
        stepped: of each keyed operator, the PCollection that its steps read.
    """

    def __init__(self) -> None:
        """Visit a pipeline with it."""
        self.facts: list[Any] = []
        self.stepped: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[tuple[str, str], Any] = {}
        self._read: set[int] = set()

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        """Take in a primitive."""
        self._read.update(map(id, transform_node.inputs))
        fn = _fn(transform_node)
        if fn is None:
            return
        fn.node = _OWN.sub("", transform_node.full_label)
        self.facts.append(transform_node.outputs[FACTS])
        made = {tag: made for tag, made in transform_node.outputs.items() if tag != FACTS and (tag or fn.main)}
        self._outputs |= {(fn.node, tag or MAIN): frames for tag, frames in made.items()}
        if fn.audited:
            [self._inputs[fn.node]] = transform_node.inputs
        if isinstance(fn, StepShard):
            [self.stepped[fn.kernel.name]] = transform_node.inputs

    def unread(self, known: Iterable[Any]) -> list[str]:
        """Outputs that no transform reads, except `known` ones: those that are accounted for or dropped."""
        named = {*self._read, *map(id, known)}
        return [f"{node}: {tag}" for (node, tag), made in self._outputs.items() if id(made) not in named]

    @property
    def links(self) -> list[Link]:
        """Links of every audited node, except nodes whose rows come through transforms that do not count."""
        found = ((node, terms_of(given)) for node, given in self._inputs.items())
        return [Link(node, tuple(terms)) for node, terms in found if terms is not None]


def terms_of(frames: Any) -> list[Term] | None:
    """The terms that hand on the rows of a PCollection; None for a transform that does not count, such as beam.Map."""
    producer: AppliedPTransform = frames.producer
    fn = _fn(producer)
    if fn is not None:
        [tag] = [tag for tag, made in producer.outputs.items() if made is frames]
        return [(fn.node, MAIN if tag is None else tag)]
    if not isinstance(producer.transform, beam.Flatten | beam.GroupByKey):
        return None
    found = [terms_of(given) for given in producer.inputs]
    return None if None in found else [term for terms in found for term in terms or ()]


def _fn(applied: AppliedPTransform) -> CountedDoFn | None:
    fn = applied.transform.fn if isinstance(applied.transform, beam.ParDo) else None
    return fn if isinstance(fn, CountedDoFn) else None
