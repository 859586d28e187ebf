"""`LocalRunner`: the engine of one process.

Beam's own in-process runner speaks to itself through the protocol between a runner and its workers: it encodes every
batch at every step and builds its processors anew for every run, which is half the cost of a small epoch. Here
elements go from DoFn to DoFn by reference, the graph is read once, and what can be done at the same time is done on
all cores.

The pipeline is run in rounds. A round starts from elements that wait at a reshuffle or a grouping; each is carried as
far as the next of these by whichever thread is free. The elements of a round are handed on in the order of those that
they come from, so that a run does the same on any number of threads. A DoFn has a copy per thread, and in each a
bundle per run; one that declares `gathers = True` keeps what comes to it until its bundle ends, and is one for all
threads, with a lock.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState
from apache_beam.transforms.window import GlobalWindows

from ecompulse.runners.cores import cores
from ecompulse.runners.local.frozen import Seen
from ecompulse.runners.local.graph import BREAKS, Kind, Node, read_graph
from ecompulse.runners.local.grouping import grouped
from ecompulse.runners.local.lane import Found, Lane, Shared, Step
from ecompulse.runners.local.one_core import OneCore
from ecompulse.runners.local.rounds import Team, Work, merge

_IMPULSE: Final = GlobalWindows.windowed_value(b"")


class LocalRunner(PipelineRunner):
    """Runs bounded pipelines of Impulse, ParDo, GroupByKey, Flatten and Reshuffle in this process.

    Windows and what is made of these (`CombinePerKey`, `Create`, `Map`) are run too. Side inputs, state, timers,
    splittable DoFns and unbounded inputs are refused with a UserError that names the step. What waits at a grouping
    is in memory, like all that a thread works on.
    """

    in_process: Final = True
    """What a DoFn keeps in memory, another DoFn of the run finds there; see `epochs.staging`."""

    def __init__(self, threads: int | None = None, *, frozen: bool = False) -> None:
        """`threads`: cores, by default; `frozen`: prove that no frame is changed once it was handed on (slow)."""
        super().__init__()
        self.one_core = OneCore()
        self._threads = threads or cores()
        self._frozen = frozen
        self._built: tuple[Any, Engine] | None = None

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> PipelineResult:
        """Run to the end; the first error of a DoFn is raised."""
        del options
        if self._built is None or self._built[0] is not pipeline:
            self._built = pipeline, Engine(read_graph(pipeline), self._threads, self.one_core, frozen=self._frozen)
        self._built[1].run()
        return _Done(PipelineState.DONE)

    def is_fnapi_compatible(self) -> bool:
        """So that Beam does not translate the pipeline and back, which nothing here asks for."""
        return True


class _Done(PipelineResult):
    def wait_until_finish(self, duration: int | None = None) -> str:
        del duration
        return str(self._state)


class Engine:
    """Runs one graph, again and again."""

    def __init__(self, nodes: Sequence[Node], threads: int, one_core: OneCore, *, frozen: bool) -> None:
        """`frozen`: see `LocalRunner`."""
        self._nodes = nodes
        self._threads = threads
        self._seen = Seen() if frozen else None
        self._doing = [node for node in nodes if node.kind is Kind.DO]
        self._pickled = pickler.dumps([node.fn for node in self._doing])
        self._shared: Shared | None = None
        self._team: Team | None = None
        self._one_core = one_core

    def run(self) -> None:
        """One run; after an error all DoFns are made anew."""
        if self._shared is None or self._team is None:
            gathering = [node for node in self._doing if node.gathers]
            self._shared = Shared(self._copies(gathering), self._seen)
            self._team = Team(self._threads, partial(self._lane, self._shared), self._shared.failed, self._one_core)
        try:
            self._run(self._team)
        except BaseException:
            self._team.close()
            self._shared = self._team = None
            raise
        for lane in self._team.lanes:
            lane.close()
        self._shared.close()

    def _run(self, team: Team) -> None:
        waiting: Found = {node.index: [_IMPULSE] for node in self._nodes if node.kind is Kind.IMPULSE}
        for level in range(max((node.level for node in self._nodes), default=-1) + 1):
            work: list[Work] = []
            for node in self._nodes:
                if node.kind in BREAKS and node.level == level:
                    values = waiting.pop(node.index, ())
                    ready = grouped(values, node.windowing) if node.kind is Kind.GROUP else values
                    work += [(node, value) for value in ready]
            merge(waiting, team.work(work))
            for nodes in _waves(node for node in self._doing if node.level == level):
                self._finish(nodes, team, waiting)
        if self._seen:
            self._seen.check()

    def _finish(self, nodes: Sequence[Node], team: Team, waiting: Found) -> None:
        """End the bundles of nodes of which none follows another."""
        merge(waiting, team.work([(None, node) for node in nodes if node.gathers]))
        for node in nodes:
            if not node.gathers:
                for lane in team.lanes:
                    lane.finish(node)
                    merge(waiting, lane.taken())

    def _lane(self, shared: Shared) -> Lane:
        return Lane(self._copies([node for node in self._doing if not node.gathers]), shared)

    def _copies(self, nodes: Sequence[Node]) -> dict[int, Step]:
        """Steps of these nodes, with DoFns of their own."""
        made = dict(zip((node.index for node in self._doing), pickler.loads(self._pickled), strict=True))
        return {node.index: Step(node, made[node.index]) for node in nodes}


def _waves(nodes: Iterable[Node]) -> Iterator[list[Node]]:
    """Nodes in their order, in pieces of which none follows another of its piece."""
    wave: list[Node] = []
    for node in nodes:
        if any(earlier.index in node.behind for earlier in wave):
            yield wave
            wave = []
        wave.append(node)
    if wave:
        yield wave
