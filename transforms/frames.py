"""Functions of frames as transforms."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import polars as pl


def map_frames(function: Callable[..., pl.DataFrame], *arguments: Any) -> Any:
    """A transform that applies a pure function to each frame."""
    return beam.Map(function, *arguments).with_output_types(pl.DataFrame)
