"""Event times: exactly, one cell at a time, and as a screen of whole columns."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import polars as pl

from ecompulse.kernels.decode.cells import Cell, Reading
from ecompulse.kernels.decode.numbers import number_text, whole
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.event import MIN_EVENT_TIME_MS, TIME
from ecompulse.kernels.mapping import TimeReading

ISO_TEXT: Final = (
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?)?"
)
ZONE_TEXT: Final = r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"

_ISO: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"([Zz]|[+-][0-9]{2}(?::?[0-5][0-9])?)?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_SECOND_MS: Final = 1_000
_LAST, _LEAP = 59, 60  # seconds of a minute
_MILLISECOND: Final = timedelta(milliseconds=1)

_ISO_LAYOUT: Final = "%Y-%m-%dT%H:%M:%S%.f"
_WITH_SECONDS: Final = ISO_TEXT.removesuffix("?").replace("[Tt ]", "[T ]").replace("|60", "")
_ZONE: Final = ZONE_TEXT.replace("Zz", "Z")
# A double holds 16 digits of this size apart, so 6 decimals of a second come through it unchanged.
_PLAIN_SECONDS: Final = r"^[0-9]{9,10}(?:\.[0-9]{1,6})?$"
_PLAIN_EPOCH: Final = r"^[0-9]{9,18}$"


def exact_time(cell: Cell, reading: Reading) -> int:
    """Event time in UTC ms; finer parts are cut off.

    Raises:
        BrokenRule: wrong_type, not_finite, out_of_range, event_time_in_future, event_time_too_old.
    """
    moment = _exact(cell, reading)
    if moment > reading.latest_ms:
        raise BrokenRule(Rule.EVENT_TIME_IN_FUTURE, "is more than 5 minutes after now")
    if moment < MIN_EVENT_TIME_MS:
        raise BrokenRule(Rule.EVENT_TIME_TOO_OLD, "is before 1990")
    return moment


def _exact(cell: Cell, reading: Reading) -> int:
    time, text = reading.time, cell.text.strip()
    if time.format is not None:
        moment = _with_polars(cell.text, _formatted(pl.col("text"), time)) if cell.quoted else None
        if moment is None:
            raise BrokenRule(Rule.WRONG_TYPE, f"is not a time of the format {time.format}")
        return moment
    if cell.quoted and not (reading.lenient and text[:1].isdigit() and "-" not in text[1:]):
        return _iso(text if reading.lenient else cell.text, time)
    return _since_1970(number_text(cell, reading), time.unit)


def _iso(text: str, time: TimeReading) -> int:
    found = _ISO.fullmatch(text)
    if not found:
        raise BrokenRule(Rule.WRONG_TYPE, "is neither an ISO 8601 time nor a number")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if zone is None and time.zone is None:
        raise BrokenRule(Rule.WRONG_TYPE, "has no zone (Z or +hh:mm)")
    seconds = int(second or 0)
    if seconds > _LEAP:
        raise BrokenRule(Rule.WRONG_TYPE, "is no time: second must be in 0..59, or 60 where one is inserted")
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), min(seconds, _LAST), tzinfo=_offset(zone)
        )
    except ValueError as error:
        raise BrokenRule(Rule.WRONG_TYPE, "is no time: {}", str(error)) from None
    fraction_ms = int((fraction or "")[:3].ljust(3, "0"))
    # Clocks that count since 1970 know no inserted second: it is the first of the next minute.
    since = (moment - _EPOCH) // _MILLISECOND + fraction_ms + max(seconds - _LAST, 0) * _SECOND_MS
    if zone is None:
        return _localised(since, time)
    return since


def _offset(zone: str | None) -> timezone:
    if zone in {None, "Z", "z"}:
        return UTC
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if zone[0] == "-" else offset)


def _localised(wall_ms: int, time: TimeReading) -> int:
    local = pl.from_epoch(pl.lit(wall_ms), time_unit="ms")
    moment = pl.select(_in_zone(local, time.zone or "UTC").dt.epoch("ms")).item()
    if moment is None:
        raise BrokenRule(Rule.WRONG_TYPE, f"does not exist in {time.zone}: clocks were put forward")
    return int(moment)


def _since_1970(text: str, unit: str) -> int:
    if unit == "s":
        value = whole(text)
        if value is not None:
            return value * _SECOND_MS
        # As its double shows it, so that JSON and CSV agree whatever read them.
        return int((Decimal(repr(float(text))) * _SECOND_MS).to_integral_value(ROUND_FLOOR))
    count = whole(text)
    if count is None:
        raise BrokenRule(Rule.WRONG_TYPE, f"is not an integer of {unit} since 1970")
    return count // _PER_MS[unit]


def _with_polars(text: str, expression: pl.Expr) -> int | None:
    moment = pl.DataFrame({"text": [text]}).select(expression.dt.epoch("ms")).item()
    return None if moment is None else int(moment)


def _in_zone(wall: pl.Expr, zone: str) -> pl.Expr:
    """Wall-clock times of a zone in UTC: the earlier of two, null where clocks are put forward."""
    return wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def _formatted(text: pl.Expr, time: TimeReading) -> pl.Expr:
    parsed = text.str.to_datetime(time.layout, time_unit="ms", strict=False)
    return _in_zone(parsed, time.zone) if time.zone else parsed.dt.convert_time_zone("UTC")


def screen_time(text: pl.Expr, quoted: pl.Expr, reading: Reading) -> tuple[pl.Expr, pl.Expr]:
    """Times (`TIME`), and where they are certain to be what `exact_time` gives."""
    time = reading.time
    if time.format is not None:
        value, plain = _formatted(text, time), quoted
    else:
        iso, iso_plain = _screen_iso(text, time)
        number, number_plain = _screen_number(text, time.unit)
        numeric = number_plain if reading.lenient else number_plain & ~quoted
        value = pl.when(numeric).then(number).otherwise(iso)
        plain = numeric | (iso_plain & quoted)
    value = value.cast(TIME)
    inside = value.dt.epoch("ms").is_between(MIN_EVENT_TIME_MS, reading.latest_ms)
    return value, (plain & inside).fill_null(value=False)


def _screen_iso(text: pl.Expr, time: TimeReading) -> tuple[pl.Expr, pl.Expr]:
    joined = text.str.replace(" ", "T", literal=True)
    zoned = joined.str.to_datetime(_ISO_LAYOUT + "%#z", time_unit="ms", strict=False)
    plain = text.str.contains(f"^{_WITH_SECONDS}{_ZONE}$")
    if time.zone is None:
        return zoned, plain
    wall = joined.str.to_datetime(_ISO_LAYOUT, time_unit="ms", strict=False)
    value = pl.when(plain).then(zoned).otherwise(_in_zone(wall, time.zone))
    return value, plain | text.str.contains(f"^{_WITH_SECONDS}$")


def _screen_number(text: pl.Expr, unit: str) -> tuple[pl.Expr, pl.Expr]:
    if unit == "s":
        seconds = text.cast(pl.Decimal(20, 6), strict=False) * _SECOND_MS
        value, plain = seconds.cast(pl.Int64, strict=False), text.str.contains(_PLAIN_SECONDS)
    else:
        count = text.cast(pl.Int64, strict=False)
        value, plain = count // _PER_MS[unit], text.str.contains(_PLAIN_EPOCH)
    return value.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"), plain
