"""How the risk scores of the last day are spread, from the lake."""

from datetime import date
from typing import Final

import polars as pl
import pyarrow.compute as pc

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.stored import DATE
from ecompulse.io.delta.lake import Lake

BINS: Final = 20


def read_scores(lake: Lake) -> dict[str, int]:
    """Transactions by twentieth of the score, of the last day that has any; empty where there are none."""
    try:
        table = lake.table("risk_scores")
    except UserError:
        return {}
    days = [str(partition[DATE]) for partition in table.partitions() if partition[DATE] is not None]
    if not days:
        return {}
    last = pc.field(DATE) == date.fromisoformat(max(days))
    scores = pl.DataFrame(pl.from_arrow(table.to_pyarrow_dataset().to_table(["score"], last)))["score"].drop_nulls()
    places = (scores * BINS).floor().clip(0, BINS - 1).cast(pl.Int64)
    counted = dict(places.value_counts().iter_rows())
    return {f"{place / BINS:.2f} to {(place + 1) / BINS:.2f}": counted.get(place, 0) for place in range(BINS)}
