"""How far an operator's watermark is behind the epoch's: what it is fed by may have been held."""

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
    """How late rows may be where they are no less complete than those of the epoch's sources.

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
    """The operators with the delays that follow from what their input comes through.

    A kernel whose `holds` is not None gives rows out once the watermark has passed them. Whoever is fed by it sees them
    an epoch later, and must not take them for late. What is decided under the clock of an operator is complete no
    sooner than that operator's input. A lag that an operator names itself stands.

    Args:
        operators: by name.
        inputs: the PCollection that the steps of each read.

    Raises:
        ValueError: an operator is further behind than an epoch remembers.
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
