"""Functions of frames as transforms."""

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import polars as pl


def map_frames(function: Callable[..., pl.DataFrame], *arguments: Any) -> Any:
    """A transform that applies a pure function to each frame; `arguments` follow the frame."""
    # Not beam.Map: it would read the function's own annotations as Beam types.
    return beam.ParDo(_Apply(function, arguments)).with_output_types(pl.DataFrame)


class _Apply(beam.DoFn):
    def __init__(self, function: Callable[..., pl.DataFrame], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        yield self._function(element, *self._arguments)
