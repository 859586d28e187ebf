"""How far an operator's watermark is behind the epoch's, since upstream operators may have held its input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform

from ecompulse.epochs.clocked import UnderClock
from ecompulse.epochs.keyed import StepShard
from ecompulse.epochs.plan import MOST_LAG, Operator


@dataclass(frozen=True)
class Delay:
    """How much later rows may arrive here than at the epoch's sources.

    Attributes:
        lag: epochs.
        hold: ms of event time.
    """

    lag: int = 0
    hold: int = 0

    def joined(self, other: "Delay") -> "Delay":
        """Of rows of both."""
        return Delay(max(self.lag, other.lag), max(self.hold, other.hold))

    def behind(self, held: int | None) -> "Delay":
        """After an operator that holds rows; see `Kernel.holds`."""
        return self if held is None else Delay(self.lag + 1, self.hold + held)


def resolve_delays(operators: Mapping[str, Operator], inputs: Mapping[str, Any]) -> Sequence[Operator]:
    """The operators, with delays derived from the operators upstream of their input.

    A kernel whose `holds` is not None emits rows once the watermark has passed them. An operator downstream sees them
    an epoch later, and must not treat them as late. Rows selected under the clock of an operator are complete no sooner
    than that operator's input. A lag that an operator declares itself is kept.

    Args:
        operators: by name.
        inputs: the PCollection that the steps of each read.

    Raises:
        ValueError: an operator is further behind than the watermarks that an epoch remembers.
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
            return self._delays[fn.kernel.name].behind(getattr(fn.kernel, "holds", None))
        found = Delay()
        for given in producer.inputs:
            found = found.joined(self.of(given))
        return found.joined(self._delays.get(fn.operator, Delay())) if isinstance(fn, UnderClock) else found
