"""Rows of an epoch as records: who writes them, in which order."""

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.kafka.records import Naming, divide
from ecompulse.kernels.event import TIME

SCHEMA = pl.Schema(
    {
        "id": pl.String(), "user": pl.String(), "event_time": TIME,
        "source": pl.String(), "source_partition": pl.Int32(), "source_offset": pl.Int64(),
    }
)  # fmt: skip
TABLE = TableSpec("rows", SCHEMA, "event_time", key=("user",))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=40), st.integers(1, 4), st.randoms())
def test_rows_of_a_key_stay_in_order_though_they_share_a_time(sent, units, chance):
    rows = [
        {
            "id": f"{hash((n, 7)) % 997}",
            "user": user,
            "event_time": at,
            "source": "s",
            "source_partition": 0,
            "source_offset": n,
        }
        for n, (user, at) in enumerate(sorted(sent, key=lambda row: row[1]))
    ]
    chance.shuffle(rows)
    found = divide(TABLE, pl.DataFrame(rows, schema=SCHEMA), Naming(), units)
    written = [[json.loads(value) for part in parts for value in part.values] for parts in found.values()]
    assert sorted(row["source_offset"] for unit in written for row in unit) == list(range(len(sent)))
    for user in "abc":
        units_of = [unit for unit in written if any(row["user"] == user for row in unit)]
        assert len(units_of) <= 1
        offsets = [row["source_offset"] for unit in units_of for row in unit if row["user"] == user]
        assert offsets == sorted(offsets)
