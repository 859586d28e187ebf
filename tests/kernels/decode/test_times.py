"""Time formats are read as Python reads them, or refused at the start; RFC 3339 to the letter."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.decode import decode_json
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.foreign.times import TimeReading, layout_of
from ecompulse.kernels.mapping import Mapping
from support.examples import examples

NOW = 1_900_000_000_000
SAME = [
    "%Y-%m-%d %H:%M:%S", "%y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%d %b %Y %H:%M:%S",
    "%d %B %Y %H:%M:%S", "%a %d %b %Y %H:%M:%S", "%A, %d %B %Y %H:%M:%S", "%Y-%j %H:%M:%S", "%Y%m%d%H%M%S",
    "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%fZ", "%c", "%x %X", "%Y-%m-%d", "%G-W%V-%u %H:%M:%S", "%Y-%U-%w %H:%M",
    "%Y-%W-%w %H:%M", "%Y-%m-%d %H:%M:%S%%", "%Y-%m-%d %H:%M:%S %z", "%Y-%m-%dT%H:%M:%S.%f%z",
]  # fmt: skip
MOMENTS = st.datetimes(datetime(1990, 1, 2), datetime(2029, 12, 30))  # noqa: DTZ001  # zones are drawn apart


def read(texts, mapping=None):
    """Event times (ms) of rows, null where one is a dead letter: of many rows, which are screened, and of few."""
    rows = [f'{{"event_id":"e","event_type":"search","event_time":"{text}","user_id":"u"}}'.encode() for text in texts]
    many = rows * (60 // len(rows) + 1)
    found = []
    for batch in (rows, many):
        frame = pl.DataFrame(
            {"raw": batch, "source": "s", "source_partition": 0, "source_offset": range(len(batch))}, schema=RAW_SCHEMA
        )
        events = decode_json(frame, NOW, mapping).events
        times = dict(zip(events["source_offset"], events["event_time"].dt.epoch("ms"), strict=True))
        found.append([times.get(number) for number in range(len(rows))])
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("layout", SAME)
@examples(15)
@given(data=st.data())
def test_each_directive_is_read_as_python_reads_it(layout, data):
    moment, zoned = data.draw(MOMENTS), "%z" in layout
    if zoned:
        moment = moment.replace(tzinfo=timezone(timedelta(minutes=data.draw(st.integers(-14 * 60, 14 * 60)))))
    text = moment.strftime(layout)
    python = datetime.strptime(text, layout)  # noqa: DTZ007  # of the zone below
    python = python if zoned else python.replace(tzinfo=UTC)
    mapping = Mapping(time=TimeReading(format=layout, zone=None if zoned else "UTC"))
    assert read([text], mapping) == [(python - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)]


@pytest.mark.parametrize(
    ("layout", "text", "ms"),
    [
        ("%Y-%m-%d %H:%M:%S%.f", "2026-03-01 00:00:00.5", 500),
        ("%Y-%m-%d %H:%M:%S,%3f", "2026-03-01 00:00:00,123", 123),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-03-01 00:00:00.5", 500),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-03-01 00:00:00.000123", 0),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-03-01 00:00:00.123456789", 123),
        ("%F %T", "2026-03-01 00:00:00", 0),
        ("%D %r", "03/01/26 12:00:00 AM", 0),
        ("%Y-%m-%e %k:%M", "2026-03- 1  0:00", 0),
    ],
)
def test_directives_of_chrono_s_own(layout, text, ms):
    assert read([text], Mapping(time=TimeReading(format=layout, zone="UTC"))) == [1_772_323_200_000 + ms]


@pytest.mark.parametrize("layout", ["%s", "%Y-%m-%d %H:%M:%S %:z", "%+"])
def test_a_format_that_says_the_moment_takes_no_zone(layout):
    assert layout_of(layout) == layout
    TimeReading(format=layout)
    with pytest.raises(ConfigError, match="reads a zone already"):
        TimeReading(format=layout, zone="Europe/Paris")


def test_seconds_since_1970_are_of_no_zone():
    assert read(["1772323200"], Mapping(time=TimeReading(format="%s"))) == [1_772_323_200_000]


@pytest.mark.parametrize(
    "layout",
    ["%Y-%m-%d %H:%M:%S,%f", "%Y-%m-%d %H:%M:%S %f", "%Y-%m-%d %I:%M", "%Y-%m-%d %H", "%Y-%m", "%H:%M", "%Q %F %T",
     "%Y-%m-%d %H:%M:%S %Z", "text", ""],
)  # fmt: skip
def test_what_would_be_misread_is_refused(layout):
    with pytest.raises(ConfigError, match="format"):
        TimeReading(format=layout, zone="UTC")


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-03-01t00:00:00z", 0),
        ("2026-03-01T00:00:00z", 0),
        ("2026-03-01 00:00:00Z", 0),
        ("2026-02-28T23:59:60Z", 0),
        ("2026-03-01T00:59:60+01:00", 0),
        ("2026-02-28T23:59:60.250Z", 250),
        ("2026-02-28T23:59:61Z", None),
        ("2026-03-01T00:00Z", 0),
        ("2026-03-01T24:00:00Z", None),
        ("2026-03-01x00:00:00Z", None),
    ],
)
def test_times_of_rfc_3339(text, ms):
    assert read([text]) == [None if ms is None else 1_772_323_200_000 + ms]


PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@pytest.mark.parametrize("unit", PER_SECOND)
@examples(12)
@given(moment=MOMENTS, beyond=st.integers(0, 999_999_999))
def test_each_unit_is_read_as_python_reads_it(unit, moment, beyond):
    since = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    number = since * PER_SECOND[unit] + beyond % PER_SECOND[unit]
    expected = number * 1000 // PER_SECOND[unit]
    assert read([str(number)], Mapping(time=TimeReading(unit=unit))) == [expected]


@examples(12)
@given(moment=MOMENTS, thousandths=st.integers(0, 999))
def test_seconds_have_fractions_and_other_units_have_none(moment, thousandths):
    since = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    text = f"{since}.{thousandths:03d}"
    assert read([text], Mapping(time=TimeReading(unit="s"))) == [since * 1000 + thousandths]
    for unit in ("ms", "us"):  # of nanoseconds a double shows none
        assert read([f"{since * PER_SECOND[unit]}.5"], Mapping(time=TimeReading(unit=unit))) == [None]
