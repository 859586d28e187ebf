"""Rows wait for the watermark and are emitted in order, so later steps never need to merge.

Everything that a session, a funnel or a cart decides depends on the order of a visitor's events, and that
order is known only behind the watermark. So rows are stored unchanged and handed on once the watermark has passed them,
sorted by (visitor, `event.ORDER`).
"""

import polars as pl

from ecompulse.kernels.rows import CAME_LATE, DUE, divided, millis
from ecompulse.kernels.sessions.schemas import PENDING
from ecompulse.kernels.step import END_OF_TIME, Clock, StateView, Wait


def reorder(state: StateView, batch: pl.DataFrame, clock: Clock, columns: pl.Schema) -> tuple[pl.DataFrame, Wait, int]:
    """Rows with event_time < watermark, and the rows that wait from now on.

    Args:
        state: holds the ordered list of `pending_rows(columns)`.
        batch: rows that arrived, any order, with `came_late`: rows that have waited elsewhere say it themselves.
        clock: of the step.
        columns: what is carried.

    Returns:
        The settled rows, unsorted: `columns`, `_at` (event_time, Int64 ms) and `_behind` (Boolean: the row
        came when the watermark had already passed it; never while draining). Then the rows that wait, and how many
        more wait than before.
    """
    names = columns.names()
    parked = state.due(PENDING, clock.watermark)
    ahead, arrived = divided(batch.with_columns((millis() + 1).alias(DUE)), pl.col(DUE) <= clock.watermark)
    behind = pl.col(CAME_LATE).fill_null(value=True) & (clock.watermark < END_OF_TIME)
    settled = [
        frame.select(*names, _at=pl.col(DUE) - 1, _behind=came_behind)
        for frame, came_behind in ((parked, pl.lit(value=False)), (arrived, behind))
    ]
    return pl.concat(settled), Wait(ahead.select(*names, DUE)), ahead.height - parked.height
