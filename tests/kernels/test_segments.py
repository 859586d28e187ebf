"""Where segments of rows begin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.segments import changes, first_places
from support.examples import examples

ROWS = st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 1)))


@examples(100)
@given(ROWS)
def test_a_segment_begins_where_any_column_changes(rows):
    columns = [np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1)]
    first = changes(*columns)
    assert first.tolist() == [at == 0 or row != rows[at - 1] for at, row in enumerate(rows)]
    place, expected = 0, []
    for at, begins in enumerate(first):
        place = at if begins else place
        expected.append(place)
    assert first_places(first).tolist() == expected
