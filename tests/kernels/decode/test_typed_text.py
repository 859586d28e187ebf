"""The text of typed columns: that of a row does not depend on the rows beside it."""

from datetime import time
from itertools import chain

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode.typed_text import text_of
from support.examples import examples

numbers = st.none() | st.floats(width=32)
SHAPES = {
    "list": (pl.List(pl.Float32), st.none() | st.lists(numbers, max_size=3)),
    "struct": (pl.Struct({"a": pl.Float32, "b": pl.List(pl.Array(pl.Float64, 1))}),
               st.none() | st.fixed_dictionaries({
                   "a": numbers, "b": st.none() | st.lists(st.tuples(numbers).map(list), max_size=2)})),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@examples(60)
@given(data=st.data())
def test_numbers_in_lists_and_structs_have_one_text_each(shape, data):
    dtype, values = SHAPES[shape]
    column = pl.Series(data.draw(st.lists(values, max_size=6)), dtype=dtype)
    alone = [text_of(column[row : row + 1])[0].to_list() for row in range(column.len())]
    assert text_of(column)[0].to_list() == list(chain(*alone))


def test_times_of_day_keep_what_is_finer_than_a_second():
    column = pl.Series([time(1, 2, 3, 4), time(1, 2, 3), None])
    assert text_of(column)[0].to_list() == ["01:02:03.000004", "01:02:03", None]
