"""Functions of frames as transforms."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.counted import CountedDoFn, CountedParDo, counted_frames


def map_frames(function: Callable[..., pl.DataFrame], *arguments: Any) -> Any:
    """A transform that applies a pure function to each frame; `arguments` follow the frame."""
    # Not beam.Map: it would read the function's own annotations as Beam types.
    return counted_frames(_Apply(function, arguments))


def split_frames(function: Callable[..., Mapping[str, pl.DataFrame]], tags: Iterable[str], *arguments: Any) -> Any:
    """A transform that divides each frame by a pure function; its output is a dict of PCollections, one per tag.

    Every row goes under one of the tags: ValueError for a function that loses or repeats rows.
    """
    return CountedParDo(_Split(function, arguments), tags=dict.fromkeys(tags, pl.DataFrame))


def union(name: str, *frames: Any) -> Any:
    """PCollections of frames as one."""
    return frames | name >> beam.Flatten()


class _Apply(CountedDoFn):
    def __init__(self, function: Callable[..., pl.DataFrame], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        self.came(element.height)
        yield self.counted(self._function(element, *self._arguments))


class _Split(CountedDoFn):
    def __init__(self, function: Callable[..., Mapping[str, pl.DataFrame]], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments

    def process(self, element: pl.DataFrame) -> Iterable[Any]:
        self.came(element.height)
        parts = self._function(element, *self._arguments)
        divided = sum(part.height for part in parts.values())
        if divided != element.height:
            raise ValueError(f"{element.height} rows were divided into {divided}")
        for tag, part in parts.items():
            self.went(part.height, tag)
            if not part.is_empty():
                yield beam.pvalue.TaggedOutput(tag, part)
