"""Event times: exactly, one cell at a time, and as a screen of whole columns."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from typing import Final, Literal

import polars as pl

from ecompulse.kernels.decode.cells import Cell, Reading
from ecompulse.kernels.decode.numbers import number_text, whole
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.event import MIN_EVENT_TIME_MS, TIME
from ecompulse.kernels.foreign.times import ISO, NUMBER, TimeReading, is_zoned, layout_of

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
_AUTO: Final = (("s", 1e11), ("ms", 1e14), ("us", 1e17))
"""Below which size a number is of which unit, where that is not said."""
_SECOND_MS: Final = 1_000
_LAST, _LEAP = 59, 60  # seconds of a minute
_MILLISECOND: Final = timedelta(milliseconds=1)

_SECONDS_LAYOUT: Final = "%Y-%m-%dT%H:%M:%S"
_SECONDS_LENGTH: Final = 19
_ISO_LAYOUT: Final = f"{_SECONDS_LAYOUT}%.f"
_WITH_SECONDS: Final = ISO_TEXT.removesuffix("?").replace("[Tt ]", "[T ]").replace("|60", "")
_IN_UTC: Final = r"^.{19}(?:\.[0-9]{3,9})?Z$"
_ZONE: Final = ZONE_TEXT.replace("Zz", "Z")
# A double holds 16 digits of this size apart, so 6 decimals of a second come through it unchanged.
_PLAIN_SECONDS: Final = r"^[0-9]{9,10}(?:\.[0-9]{1,6})?$"
_PLAIN_EPOCH: Final = r"^[0-9]{9,18}$"
_PLAIN_LONG: Final = r"^[0-9]{12,18}$"
_SECOND_DIGITS: Final = 10


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
        return _first_read(cell, reading, time.format)
    if cell.quoted and not (reading.lenient and text[:1].isdigit() and "-" not in text[1:]):
        return _iso(text if reading.lenient else cell.text, time)
    return _since_1970(number_text(cell, reading), time.unit)


def _first_read(cell: Cell, reading: Reading, formats: tuple[str, ...]) -> int:
    time = reading.time
    for text in formats:
        try:
            if text == NUMBER:
                return _since_1970(number_text(cell, reading), time.unit)
            if text == ISO and cell.quoted:
                return _iso(cell.text.strip(), time)
        except BrokenRule:
            continue
        moment = (
            _with_polars(cell.text, _formatted(pl.col("text"), text, time)) if cell.quoted and text != ISO else None
        )
        if moment is not None:
            return moment
    raise BrokenRule(Rule.WRONG_TYPE, f"is not a time of the format {' or '.join(formats)}")


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
    moment = pl.select(_in_zone(local, time).dt.epoch("ms")).item()
    if moment is None:
        raise BrokenRule(Rule.WRONG_TYPE, f"{_which(time)} in {time.zone}: clocks were put forward")
    return int(moment)


def _which(time: TimeReading) -> str:
    return "does not exist, or is there twice," if time.ambiguous == "refuse" else "does not exist"


def _since_1970(text: str, unit: str) -> int:
    if unit == "auto":
        size = abs(float(text))
        unit = next((name for name, limit in _AUTO if size < limit), "ns")
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


def _in_zone(wall: pl.Expr, time: TimeReading) -> pl.Expr:
    """Wall-clock times of a zone in UTC, null where clocks are put forward; of two the one that the reading says."""
    twice: Literal["earliest", "latest", "null"] = "null" if time.ambiguous == "refuse" else time.ambiguous
    zoned = wall.dt.replace_time_zone(time.zone or "UTC", ambiguous=twice, non_existent="null")
    return zoned.dt.convert_time_zone("UTC")


def _formatted(text: pl.Expr, layout: str, time: TimeReading) -> pl.Expr:
    parsed = text.str.to_datetime(layout_of(layout), time_unit="ms", strict=False)
    return parsed.dt.convert_time_zone("UTC") if is_zoned(layout) else _in_zone(parsed, time)


def screen_time(text: pl.Expr, quoted: pl.Expr, reading: Reading) -> tuple[pl.Expr, pl.Expr]:
    """Times (`TIME`), and where they are certain to be what `exact_time` gives."""
    time = reading.time
    if time.format is not None:
        value, plain = _screen_formats(text, quoted, reading, time.format)
    else:
        iso, iso_plain = _screen_iso(text, time)
        number, number_plain = _screen_number(text, time.unit)
        numeric = number_plain if reading.lenient else number_plain & ~quoted
        value = pl.when(numeric).then(number).otherwise(iso)
        plain = numeric | (iso_plain & quoted)
    value = value.cast(TIME)
    inside = value.dt.epoch("ms").is_between(MIN_EVENT_TIME_MS, reading.latest_ms)
    return value, (plain & inside).fill_null(value=False)


def _screen_formats(
    text: pl.Expr, quoted: pl.Expr, reading: Reading, formats: tuple[str, ...]
) -> tuple[pl.Expr, pl.Expr]:
    """By the first format that reads a time; certain only where those before it are certain to read none."""
    values, plains = [], []
    for layout in formats:
        if layout == NUMBER:
            value, plain = _screen_number(text, reading.time.unit)
            plain = plain if reading.lenient else plain & ~quoted
        elif layout == ISO:
            value, plain = _screen_iso(text, reading.time)
            plain = plain & quoted
        else:
            value, plain = _formatted(text, layout, reading.time), quoted
        values.append(pl.when(plain).then(value.cast(TIME)))
        plains.append(plain)
    sure = pl.lit(value=True)
    if set(formats) & {ISO, NUMBER} and formats[-1] not in {ISO, NUMBER}:
        # What these do not vouch for they may read all the same, before a later format does.
        looks = text.str.contains(r"^\s*[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE].*)?\s*$|^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
        ours = pl.any_horizontal(
            plain for layout, plain in zip(formats, plains, strict=True) if layout in {ISO, NUMBER}
        )
        sure = ~looks | ours.fill_null(value=False)
    return pl.coalesce(values), sure & quoted.or_(*plains) if len(plains) > 1 else plains[0]


def _screen_iso(text: pl.Expr, time: TimeReading) -> tuple[pl.Expr, pl.Expr]:
    joined = text.str.replace(" ", "T", literal=True)
    zoned = _zoned(joined)
    plain = text.str.contains(f"^{_WITH_SECONDS}{_ZONE}$")
    if time.zone is None:
        return zoned, plain
    wall = joined.str.to_datetime(_ISO_LAYOUT, time_unit="ms", strict=False)
    value = pl.when(plain).then(zoned).otherwise(_in_zone(wall, time))
    return value, plain | text.str.contains(f"^{_WITH_SECONDS}$")


def _zoned(text: pl.Expr) -> pl.Expr:
    """Times of texts with a zone. Polars reads whole seconds at six times the pace of fractions and zones."""
    in_utc = text.str.contains(_IN_UTC)
    seconds = text.str.head(_SECONDS_LENGTH).str.to_datetime(_SECONDS_LAYOUT, time_unit="ms", strict=False)
    fraction = text.str.slice(_SECONDS_LENGTH + 1, 3).cast(pl.Int64, strict=False).fill_null(0)
    quick = (seconds + pl.duration(milliseconds=fraction)).dt.replace_time_zone("UTC")
    others = pl.when(~in_utc).then(text).str.to_datetime(_ISO_LAYOUT + "%#z", time_unit="ms", strict=False)
    return pl.when(in_utc).then(quick).otherwise(others)


def _screen_number(text: pl.Expr, unit: str) -> tuple[pl.Expr, pl.Expr]:
    if unit == "auto":
        seconds, plain_seconds = _screen_number(text, "s")
        count = text.cast(pl.Int64, strict=False)
        finer = pl.when(count.abs() < int(_AUTO[2][1])).then(count // _PER_MS["us"]).otherwise(count // _PER_MS["ns"])
        ms = pl.when(count.abs() < int(_AUTO[1][1])).then(count).otherwise(finer)
        small = plain_seconds & (text.str.split(".").list.first().str.len_chars() <= _SECOND_DIGITS)
        moment = pl.when(small).then(seconds).otherwise(_utc(ms))
        return moment, small | text.str.contains(_PLAIN_LONG)
    if unit == "s":
        exact = text.cast(pl.Decimal(20, 6), strict=False) * _SECOND_MS
        value, plain = exact.cast(pl.Int64, strict=False), text.str.contains(_PLAIN_SECONDS)
    else:
        value, plain = text.cast(pl.Int64, strict=False) // _PER_MS[unit], text.str.contains(_PLAIN_EPOCH)
    return _utc(value), plain


def _utc(ms: pl.Expr) -> pl.Expr:
    return ms.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
