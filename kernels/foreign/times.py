"""How times are written: formats, units, zones."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import polars as pl

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.zones import is_zone

_DIRECTIVE: Final = re.compile(r"\.?%[-_0]?(?:\.?[0-9]?f|:{0,3}#?z|.)", re.DOTALL)
_ZONED: Final = frozenset(("%z", "%:z", "%#z", "%+", "%s"))
"""Directives that say which moment it is, whatever the zone; seconds since 1970 do."""
ISO: Final = "iso"
NUMBER: Final = "number"
_WORDS: Final = (ISO, NUMBER)


def parse_formats(value: object) -> tuple[str, ...]:
    """One format or a list of them.

    Raises:
        ValueError: it is neither.
    """
    formats = value if isinstance(value, list | tuple) else [value]
    if not formats or not all(isinstance(item, str) for item in formats):
        raise ValueError(f"{value!r} is no format of a time, nor a list of them")
    return tuple(formats)


@dataclass(frozen=True)
class TimeReading:
    """How event_time is written.

    A time of a zone that clocks put forward over does not exist, and makes its row a dead letter.

    Attributes:
        format: of chrono's strftime (`%Y-%m-%d %H:%M:%S UTC`), with `.%f` as Python has it, or several, of which the
            first counts that reads the time; `iso` = ISO 8601, `number` = since 1970; none = either of these.
        zone: IANA name, of times written without one; none = such a time is refused.
        unit: of a time written as a number since 1970: `s`, `ms`, `us` or `ns`; `auto` = by its size: below 10^11 it is
            of seconds, below 10^14 of ms, below 10^17 of us.
        ambiguous: which of two a time is that clocks show twice, or that such a time is refused.
    """

    format: Annotated[tuple[str, ...], parse_formats] | None = None
    zone: str | None = None
    unit: Literal["s", "ms", "us", "ns", "auto"] = "ms"
    ambiguous: Literal["earliest", "latest", "refuse"] = "earliest"

    def __post_init__(self) -> None:
        if isinstance(self.format, str):
            object.__setattr__(self, "format", (self.format,))
        if self.zone is not None and not is_zone(self.zone):
            raise ConfigError("zone", f"{self.zone!r} is no zone such as UTC or Europe/Paris")
        for text in self.format or ():
            if text not in _WORDS:
                self._check(text)

    def _check(self, text: str) -> None:
        directives = _DIRECTIVE.findall(text)
        if any(found.lstrip(".") == "%f" and found != ".%f" for found in directives):
            raise ConfigError(
                "format", "%f is read after a point only (.%f); elsewhere say how long it is (%3f %6f %9f)"
            )
        zoned = is_zoned(text)
        if zoned and self.zone and self.format == (text,):
            raise ConfigError("zone", "the format reads a zone already; leave one of them out")
        if not zoned and not self.zone:
            raise ConfigError("zone", "required, since the format reads no zone (%z)")
        if not _reads_itself(layout_of(text), zoned=zoned):
            raise ConfigError("format", f"{text!r} does not read a date (chrono's %Y %m %d %H %M %S %.f %z ...)")


def is_zoned(text: str) -> bool:
    """Whether times of a format say their zone."""
    return any(found.lstrip(".") in _ZONED for found in _DIRECTIVE.findall(text))


def layout_of(text: str) -> str:
    """A format as Polars reads it: to chrono a bare `%f` is a number of nanoseconds, to Python a fraction."""
    return _DIRECTIVE.sub(lambda found: "%.f" if found[0] == ".%f" else found[0], text)


def _reads_itself(layout: str, *, zoned: bool) -> bool:
    """Whether a time written in the layout can be read back; a format that is none at all cannot."""
    moment = pl.Series([datetime(2001, 2, 3, 16, 5, 6, tzinfo=UTC if zoned else None)])
    try:
        text = moment.dt.strftime(layout)
        read = text.str.to_datetime(layout, time_unit="ms", strict=False)
        return bool((read.dt.date() == moment.dt.date()).all() and not read.has_nulls())
    except pl.exceptions.PolarsError:
        return False
