"""Functions of a frame and the clock, applied within an epoch."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.counted import CountedDoFn, counted_frames
from ecompulse.epochs.plan import CURRENT, Plan
from ecompulse.epochs.protocols import Store
from ecompulse.kernels.step import Clock


class MapUnderClock(beam.PTransform):
    """Applies `function(frame, clock, *arguments)` to each frame, under the clock that an operator's steps see.

    For decisions before a shuffle that must agree with the operator after it, such as which rows it will treat as late.
    """

    def __init__(self, store: Store, operator: str, function: Callable[..., pl.DataFrame], *arguments: Any) -> None:
        """`store` has the plan; `operator` is the name of its kernel."""
        super().__init__()
        self._fn = UnderClock(store, operator, function, arguments)

    def expand(self, frames: Any) -> Any:
        """One ParDo."""
        return frames | counted_frames(self._fn)


class UnderClock(CountedDoFn):
    """The DoFn of `MapUnderClock`."""

    def __init__(
        self, store: Store, operator: str, function: Callable[..., pl.DataFrame], arguments: tuple[Any, ...]
    ) -> None:
        """`operator`: the operator whose clock it is."""
        self._store = store
        self.operator = operator
        self._function = function
        self._arguments = arguments
        self._clock = Clock(0, -1, 0)

    def start_bundle(self) -> None:
        """Read the clock."""
        super().start_bundle()
        current = json.loads(self._store.get(CURRENT))
        plan = Plan.load(self._store.get(f"{current['folder']}/plan.json"))
        self._clock = replace(plan.clock, watermark=plan.watermarks[self.operator])

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        """Nothing for an empty frame."""
        self.came(element.height)
        found = self._function(element, self._clock, *self._arguments)
        if not found.is_empty():
            yield self.counted(found)
