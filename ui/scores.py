"""How the risk scores of the last 24 hours are spread, from the lake."""

from datetime import date, datetime, timedelta
from typing import Final

import polars as pl
import pyarrow.compute as pc

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.stored import DATE
from ecompulse.io.delta.lake import Lake

BINS: Final = 20


def read_scores(lake: Lake, until: datetime | None = None) -> dict[str, int]:
    """Transactions by twentieth of the score, of the last 24 hours that have any; empty where there are none.

    `until`: the end of what is looked at; none = the newest.
    """
    try:
        table = lake.table("risk_scores")
    except UserError:
        return {}
    end = date.max if until is None else until.date()
    days = [date.fromisoformat(str(partition[DATE])) for partition in table.partitions() if partition[DATE] is not None]
    days = [day for day in days if day <= end]
    if not days:
        return {}
    recent = pc.field(DATE) >= max(days) - timedelta(days=1)
    found = pl.from_arrow(table.to_pyarrow_dataset().to_table(["score", "event_time"], recent))
    scores = pl.DataFrame(found).drop_nulls().filter(pl.col("event_time") <= (until or pl.col("event_time").max()))
    scores = scores.filter(pl.col("event_time") > pl.col("event_time").max() - timedelta(days=1))
    places = (scores["score"] * BINS).floor().clip(0, BINS - 1).cast(pl.Int64)
    counted = dict(places.value_counts().iter_rows())
    return {f"{place / BINS:.2f} to {(place + 1) / BINS:.2f}": counted.get(place, 0) for place in range(BINS)}
