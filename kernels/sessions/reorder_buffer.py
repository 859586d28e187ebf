"""Rows wait for the watermark and are emitted in order, so later steps never need to merge.

Everything that a session, a funnel or a cart decides depends on the order of a visitor's events, and that
order is known only behind the watermark. So rows are stored unchanged and handed on once the watermark has passed them,
sorted by (visitor, `event.ORDER`).
"""

import polars as pl

from ecompulse.kernels.rows import DUE, millis
from ecompulse.kernels.sessions.schemas import PENDING
from ecompulse.kernels.step import END_OF_TIME, Clock, StateView, Wait


def reorder(state: StateView, batch: pl.DataFrame, clock: Clock, columns: pl.Schema) -> tuple[pl.DataFrame, Wait, int]:
    """Rows with event_time < watermark, and the rows that wait from now on.

    Args:
        state: holds the ordered list of `pending_rows(columns)`.
        batch: rows that arrived, any order.
        clock: of the step.
        columns: what is carried.

    Returns:
        The settled rows, unsorted: `columns`, `_at` (event_time, Int64 ms) and `_behind` (Boolean: the row
        came when the watermark had already passed it; never while draining). Then the rows that wait, and how many
        more wait than before.
    """
    names = columns.names()
    parked = state.due(PENDING, clock.watermark)
    arrived, ahead = _split(batch.select(*names, (millis() + 1).alias(DUE)), clock.watermark)
    behind = pl.lit(value=clock.watermark < END_OF_TIME)
    settled = [
        frame.select(*names, _at=pl.col(DUE) - 1, _behind=came_behind)
        for frame, came_behind in ((parked, pl.lit(value=False)), (arrived, behind))
    ]
    return pl.concat(settled), Wait(ahead), ahead.height - parked.height


def _split(rows: pl.DataFrame, watermark: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that the watermark has passed, and the others; copied only if there are both."""
    passed = rows[DUE] <= watermark
    if passed.all():
        return rows, rows.clear()
    if not passed.any():
        return rows.clear(), rows
    return rows.filter(passed), rows.filter(~passed)
