"""Quality of the input day by day, as the warehouse has it, for the page of the shop."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from ecompulse.kernels.quality import Check
from ecompulse.ui.rows import Row, as_stored, as_time, table_of, within
from ecompulse.ui.view import View

QUALITY: Final = table_of("data_quality", "job", "check_name", "window_start", "count", "rows")
_DAYS: Final = 14
_OF_FIELDS: Final = (Check.NULL_RATE, Check.UNKNOWN_TYPE)
"""Checks of a value in each field; the others are of whole rows."""


def read_quality(connection: sa.Connection, view: View) -> tuple[Sequence[str], Sequence[Row]]:
    """What each check found in the input of a job, of the rows, or values of fields, that the job read.

    The last days are those with good rows: a row without a time counts in the hour in which it was read, which says
    nothing of the input's days. On a day without good rows nobody knows of how many the others are.
    """
    columns = QUALITY.c
    here = within(connection, columns.window_start, view)
    good = here & (columns.check_name == Check.NULL_RATE)
    last = connection.scalar(sa.select(sa.func.max(columns.window_start)).where(good))
    if last is None:
        last = connection.scalar(sa.select(sa.func.max(columns.window_start)).where(here))
    if last is None:
        return (), ()
    since = as_stored(connection, as_time(last) - timedelta(days=_DAYS))
    found: Counter[tuple[str, str, str]] = Counter()
    values: Counter[tuple[str, str, str]] = Counter()
    rows: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    asked = (
        sa.select(columns.job, columns.window_start, columns.check_name, sa.func.sum(columns.count),
                  sa.func.sum(columns.rows), sa.func.max(columns.rows))
        .where(here, columns.window_start > since)
        .group_by(columns.job, columns.window_start, columns.check_name)
    )  # fmt: skip
    for job, window, check, count, together, most in connection.execute(asked):
        start = as_time(window)
        key = (start.date().isoformat(), job, check)
        found[key] += int(count)
        values[key] += int(together)
        read = rows[key[:2]]
        read[str(start)] = max(read[str(start)], int(most))
    told = []
    for key, count in sorted(found.items()):
        of = values[key] if key[2] in _OF_FIELDS else rows[key[:2]].total()
        if count:
            known = of and (*key[:2], Check.NULL_RATE) in found
            told.append((*key, count, *((of, f"{count / of:.2%}") if known else (None, None))))
    told.sort(key=lambda row: row[0], reverse=True)  # days backwards, jobs and checks by name
    return ("day", "job", "check", "found", "looked at", "share"), told
