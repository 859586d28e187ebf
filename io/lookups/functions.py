"""A function of columns as a store, so that its results are cached like any other."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Computed:
    """A store whose rows are computed from the key.

    Attributes:
        columns: what the function adds to `key`.
        function: gives `key` and `columns` for unique keys without nulls.
    """

    columns: pl.Schema
    function: Callable[[pl.Series], pl.DataFrame]

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        """See Store."""
        return self.function(keys)
