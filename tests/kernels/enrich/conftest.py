"""Events of a few fields, and where the shared data is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ecompulse.kernels.event import FRAME_SCHEMA

DATA = Path(__file__).parents[3].parent / "shared" / "data"


def make_events(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A frame of events; fields not named are null."""
    return pl.DataFrame([{**dict.fromkeys(FRAME_SCHEMA), **row} for row in rows], schema=FRAME_SCHEMA, orient="row")


@pytest.fixture(scope="session")
def events() -> Callable[[list[dict[str, Any]]], pl.DataFrame]:
    return make_events


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"no shared data at {DATA}")
    return DATA


class DictFinder:
    """A look-up in a dictionary, counting what it is asked."""

    def __init__(self, columns: pl.Schema, rows: dict[str, tuple[object, ...]]) -> None:
        self.columns = columns
        self._rows = rows
        self.asked: list[list[str]] = []

    def find(self, keys: pl.Series) -> pl.DataFrame:
        assert keys.null_count() == 0
        assert keys.is_unique().all()
        self.asked.append(sorted(keys))
        nothing = (None,) * len(self.columns)
        rows = [
            (k, *self._rows.get(k, nothing), "ok" if k in self._rows else "not_found") for k in reversed(list(keys))
        ]
        schema = {"key": pl.String(), **self.columns, "status": pl.String()}
        return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture(scope="session")
def dict_finder() -> type[DictFinder]:
    return DictFinder
