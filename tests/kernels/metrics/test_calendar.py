"""Local days of every zone since 1990, of whatever length, against Python's zoneinfo."""

import itertools
import zoneinfo
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.foreign.times import TimeReading
from ecompulse.kernels.metrics.calendar import DAY_MS, from_axis, to_axis

FIRST, LAST = date(1990, 1, 1), date(2030, 1, 1)
DAYS = [(FIRST - date(1970, 1, 1)).days + number for number in range((LAST - FIRST).days)]
AXIS = pl.DataFrame({"day": [day * DAY_MS for day in DAYS]})
HOUR = 3_600_000


def _served(zone: str) -> bool:
    try:
        return bool(TimeReading(zone=zone))
    except ConfigError:
        return False


ZONES = [zone for zone in sorted(zoneinfo.available_timezones()) if _served(zone)]


def begins(zone: str, *days: str) -> list[int]:
    frame = pl.DataFrame({"day": [(date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_MS for day in days]})
    return frame.select(from_axis(pl.col("day"), zone)).to_series().to_list()


def test_almost_every_zone_is_served_and_the_others_are_refused():
    assert len(ZONES) > len(zoneinfo.available_timezones()) - 5


@pytest.mark.slow
def test_days_of_all_zones_follow_each_other_and_begin_where_their_date_does():
    for zone in ZONES:
        found = AXIS.with_columns(start=from_axis(pl.col("day"), zone)).with_columns(
            back=to_axis(pl.col("start"), zone)
        )
        assert found["start"].null_count() == 0, zone
        lengths = found["start"].diff().drop_nulls()
        assert lengths.min() >= 0, zone
        assert lengths.max() <= 49 * HOUR, zone
        skipped = found.filter(pl.col("back") != pl.col("day"))
        assert skipped.height <= 1, zone
        before = found.select(day="day", back=to_axis(pl.col("start") - 1, zone))
        assert (before["back"] < before["day"]).all(), zone


@pytest.mark.parametrize(
    "zone", ["America/Sao_Paulo", "Africa/Cairo", "Antarctica/Casey", "Europe/Lisbon", "Asia/Gaza"]
)
def test_a_day_begins_at_the_first_moment_of_its_date(zone):
    here, starts = zoneinfo.ZoneInfo(zone), AXIS.select(from_axis(pl.col("day"), zone)).to_series().to_list()
    for day, start in itertools.islice(zip(DAYS, starts, strict=True), 0, None, 3):
        of = date(1970, 1, 1) + timedelta(days=day)
        assert datetime.fromtimestamp(start / 1000, UTC).astimezone(here).date() == of
        assert datetime.fromtimestamp(start / 1000 - 1, UTC).astimezone(here).date() < of


def test_days_of_0_of_23_and_of_25_hours_by_hand():
    first, skipped, after = begins("Pacific/Apia", "2011-12-29", "2011-12-30", "2011-12-31")
    assert (after, skipped) == (1325239200000, 1325239200000)  # 2011-12-30T10:00Z
    assert after - first == 24 * HOUR
    spring = begins("Europe/Paris", "2026-03-29", "2026-03-30")
    assert spring[1] - spring[0] == 23 * HOUR
    autumn = begins("Europe/Paris", "2026-10-25", "2026-10-26")
    assert autumn[1] - autumn[0] == 25 * HOUR
    casey = begins("Antarctica/Casey", "2016-10-22", "2016-10-23")
    assert casey[1] - casey[0] == 21 * HOUR


@pytest.mark.parametrize("zone", ["Factory", "localtime", "Mars/Olympus", "", "../etc/passwd"])
def test_a_zone_that_is_not_served_is_refused(zone):
    with pytest.raises(ConfigError, match="zone"):
        TimeReading(zone=zone)
