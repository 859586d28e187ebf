"""How far an operator's watermark is behind the epoch's, since upstream operators may have held its input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform

from ecompulse.epochs.clocked import UnderClock
from ecompulse.epochs.keyed import StepShard
from ecompulse.epochs.plan import MOST_LAG, Operator
from ecompulse.kernels.rows import CAME_LATE
from ecompulse.kernels.step import Kernel


@dataclass(frozen=True)
class Delay:
    """How much later rows may arrive here than at the epoch's sources.

    Attributes:
        lag: epochs.
        hold: ms of event time.
        settled: rows have waited for the watermark, and say themselves whether they came late (`came_late`).
    """

    lag: int = 0
    hold: int = 0
    settled: bool = False

    def joined(self, other: "Delay") -> "Delay":
        """Of rows of both."""
        return Delay(max(self.lag, other.lag), max(self.hold, other.hold), self.settled or other.settled)

    def behind(self, kernel: Kernel) -> "Delay":
        """After an operator; see `Kernel.holds`."""
        held, settled = getattr(kernel, "holds", None), any(CAME_LATE in made for made in kernel.outputs.values())
        return Delay(self.lag, self.hold, settled) if held is None else Delay(self.lag + 1, self.hold + held, settled)


def resolve_delays(operators: Mapping[str, Operator], inputs: Mapping[str, Any]) -> Sequence[Operator]:
    """The operators, with delays derived from the operators upstream of their input.

    A kernel whose `holds` is not None emits rows once the watermark has passed them. An operator downstream sees them
    an epoch later, and must not treat them as late. Rows selected under the clock of an operator are complete no sooner
    than that operator's input. A lag that an operator declares itself is kept.

    Args:
        operators: by name.
        inputs: the PCollection that the steps of each read.

    Raises:
        ValueError: an operator is further behind than the watermarks that an epoch remembers; or it would take rows for
            late that have waited upstream.
    """
    delays = dict.fromkeys(operators, Delay())
    while True:  # to the fixed point: an operator may be fed by what is decided under its own clock
        walk = _Walk(delays)
        found = {name: walk.of(inputs[name]) for name in operators}
        found = {
            name: each if (lag := operators[name].lag) is None else replace(each, lag=lag)
            for name, each in found.items()
        }
        if found == delays:
            break
        delays = found
    for name, delay in delays.items():
        if delay.lag >= MOST_LAG:
            raise ValueError(f"{name}: {delay.lag} operators that hold rows stand before it; {MOST_LAG - 1} can")
        if delay.settled and CAME_LATE not in operators[name].kernel.inputs:
            raise ValueError(f"{name}: its rows have waited for the watermark, and it does not read {CAME_LATE}")
    return [replace(operator, lag=delays[name].lag, hold=delays[name].hold) for name, operator in operators.items()]


class _Walk:
    """The delay of PCollections, by those of operators."""

    def __init__(self, delays: Mapping[str, Delay]) -> None:
        self._delays = delays
        self._known: dict[int, Delay] = {}

    def of(self, frames: Any) -> Delay:
        producer: AppliedPTransform | None = frames.producer
        if producer is None:
            return Delay()
        if id(producer) not in self._known:
            self._known[id(producer)] = self._after(producer)
        return self._known[id(producer)]

    def _after(self, producer: AppliedPTransform) -> Delay:
        fn = producer.transform.fn if isinstance(producer.transform, beam.ParDo) else None
        if isinstance(fn, StepShard):
            return self._delays[fn.kernel.name].behind(fn.kernel)
        found = Delay()
        for given in producer.inputs:
            found = found.joined(self.of(given))
        if isinstance(fn, UnderClock):
            clock = self._delays.get(fn.operator, Delay())
            found = found.joined(replace(clock, settled=False))
        return found
