"""Rows wait for the watermark and are emitted in order, so later steps never need to merge.

Everything that a session, a funnel or a cart decides depends on the order of a visitor's events, and that
order is known only behind the watermark. So rows are stored unchanged and handed on once the watermark has passed them,
sorted by (visitor, `event.ORDER`). A row is written once, when it comes, and read once, when it is due: its slot is
named after ten seconds of event time and the epoch, so that adding rows to state looks nothing up and rewrites nothing,
however many rows one visitor has. Only the slots that contain the watermark are rewritten.
"""

from typing import Final

import polars as pl

from ecompulse.kernels.rows import millis
from ecompulse.kernels.sessions.schemas import PENDING
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView

SLOT_MS: Final = 10_000


def reorder(
    state: StateView, batch: pl.DataFrame, clock: Clock, columns: pl.Schema
) -> tuple[pl.DataFrame, Change, int]:
    """Rows with event_time < watermark, and the change of the rows that still wait.

    Args:
        state: holds the table of `pending_table(columns)`.
        batch: rows that arrived, any order.
        clock: of the step.
        columns: what is carried.

    Returns:
        The settled rows, unsorted: `columns`, `_at` (event_time, Int64 ms) and `_behind` (Boolean: the row
        came when the watermark had already passed it; never while draining). Then the change, and how many more rows
        wait than before.
    """
    names = columns.names()
    parked_now, parked = _split(state.due(PENDING, clock.watermark), clock.watermark)
    arrived_now, ahead = _split(batch.select(*names, (millis() + 1).alias("_due")), clock.watermark)
    slot = pl.format("{}:{}", (pl.col("_due") - 1) // SLOT_MS, clock.epoch)
    ahead = ahead.select(slot.alias("slot"), *names, "_due")
    keys = pl.concat([parked_now["slot"], parked["slot"], ahead["slot"]]).unique()
    behind = pl.lit(value=clock.watermark < END_OF_TIME)
    settled = [
        frame.select(*names, _at=pl.col("_due") - 1, _behind=came_behind)
        for frame, came_behind in ((parked_now, pl.lit(value=False)), (arrived_now, behind))
    ]
    return pl.concat(settled), Change(keys, pl.concat([parked, ahead])), ahead.height - parked_now.height


def _split(rows: pl.DataFrame, watermark: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that the watermark has passed, and the others; copied only if there are both."""
    passed = rows["_due"] <= watermark
    if passed.all():
        return rows, rows.clear()
    if not passed.any():
        return rows.clear(), rows
    return rows.filter(passed), rows.filter(~passed)
