"""Keyed look-ups against a loop over rows."""

from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.lookup import ProductStep, UserStep
from ecompulse.kernels.event import FRAME_SCHEMA

COLUMNS = pl.Schema({"tier": pl.String(), "user_age": pl.Int64()})
ROWS = {"a": ("gold", 30), "b": (None, 41), "": ("empty", 1)}


@given(st.lists(st.none() | st.sampled_from(["a", "b", "c", ""]), max_size=30))
def test_every_row_gets_its_key_s_row(events, dict_finder, keys):
    finder = dict_finder(COLUMNS, ROWS)
    batch = events([{"event_id": str(n), "user_id": key} for n, key in enumerate(keys)])
    found = UserStep().apply(batch, {"lookup": finder})
    assert found.select(batch.columns).equals(batch)
    expected = [
        (*ROWS.get(key, (None, None)), "no_key" if key is None else "ok" if key in ROWS else "not_found")
        for key in keys
    ]
    assert found.select("user_tier", "user_age", "user_status").rows() == expected
    assert finder.asked == [sorted({key for key in keys if key is not None})]


def test_without_a_store_the_status_is_off(events):
    found = ProductStep().apply(events([{}]), {})
    assert found.columns == [*FRAME_SCHEMA, "product_status"]
    assert found["product_status"].to_list() == ["off"]


@pytest.mark.parametrize(
    "columns", [("tier", "user_tier"), ("user_tier", "tier"), ("tier", "Tier"), ("ID",), ("Status",)]
)
def test_columns_that_would_be_one_in_the_output_are_refused(columns):
    declared = UserStep(declared=dict.fromkeys(columns, "text"))
    with pytest.raises(ConfigError, match=rf"^columns: its column {columns[-1]} would become .*, beside "):
        declared.check(FRAME_SCHEMA, {})


def test_a_column_that_is_taken_is_refused():
    with pytest.raises(ConfigError, match=r"^lookup: its column id would become product_id"):
        ProductStep().check(FRAME_SCHEMA, {"lookup": SimpleNamespace(columns=pl.Schema({"id": pl.Int64()}))})
