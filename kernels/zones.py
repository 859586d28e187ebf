"""Time zones that are served: those that Python and Polars both know."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl


def is_zone(name: str) -> bool:
    """Whether it is the IANA name of a zone, such as Europe/Paris."""
    try:
        ZoneInfo(name)
        pl.Series([datetime(2001, 2, 3, tzinfo=UTC)]).dt.convert_time_zone(name)
    except (KeyError, ValueError, OSError, pl.exceptions.PolarsError):
        return False
    return True
