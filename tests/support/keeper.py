"""A kernel that has state and nothing else, for tests of the state."""

from dataclasses import dataclass, field

import polars as pl

from ecompulse.kernels.step import OrderedList, Table


@dataclass(frozen=True)
class Keeper:
    tables: tuple[Table | OrderedList, ...]
    name: str = "keeper"
    version: int = 1
    inputs: pl.Schema = field(default_factory=pl.Schema)
    outputs: dict = field(default_factory=dict)
