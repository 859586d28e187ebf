"""Mappings: how foreign rows become events, as plain data of a YAML file."""

import re
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final, Literal

import polars as pl

from ecompulse.kernels.config import ConfigError, nearest, parse_config
from ecompulse.kernels.event import BY_NAME, FIELDS, Kind
from ecompulse.kernels.zones import is_zone

_SHIPPED: Final = "ecompulse.kernels.mappings"
_DIRECTIVE: Final = re.compile(r"\.?%[-_0]?(?:\.?[0-9]?f|:{0,3}#?z|.)", re.DOTALL)
_ZONED: Final = frozenset(("%z", "%:z", "%#z", "%+", "%s"))
"""Directives that say which moment it is, whatever the zone; seconds since 1970 do."""
CURRENCY: Final = "[A-Za-z]{3}"
"""A code of a currency; it is kept in capitals, which ISO 4217 and rates have."""
_MAX_MINOR_DIGITS: Final = 4


@dataclass(frozen=True)
class TimeReading:
    """How event_time is written.

    Attributes:
        format: of chrono's strftime (`%Y-%m-%d %H:%M:%S UTC`), with `.%f` as Python has it; none = ISO 8601.
        zone: IANA name, of times written without one; none = such a time is refused.
        unit: of a time written as a number since 1970: `s`, `ms`, `us` or `ns`.
    """

    format: str | None = None
    zone: str | None = None
    unit: Literal["s", "ms", "us", "ns"] = "ms"

    def __post_init__(self) -> None:
        if self.zone is not None and not is_zone(self.zone):
            raise ConfigError("zone", f"{self.zone!r} is no zone such as UTC or Europe/Paris")
        if self.format is None:
            return
        directives = _DIRECTIVE.findall(self.format)
        if any(found.lstrip(".") == "%f" and found != ".%f" for found in directives):
            raise ConfigError(
                "format", "%f is read after a point only (.%f); elsewhere say how long it is (%3f %6f %9f)"
            )
        zoned = any(found.lstrip(".") in _ZONED for found in directives)
        if zoned and self.zone:
            raise ConfigError("zone", "the format reads a zone already; leave one of them out")
        if not zoned and not self.zone:
            raise ConfigError("zone", "required, since the format reads no zone (%z)")
        if not _reads_itself(self.layout, zoned=zoned):
            raise ConfigError("format", f"{self.format!r} does not read a date (chrono's %Y %m %d %H %M %S %.f %z ...)")

    @property
    def layout(self) -> str:
        """The format as Polars reads it: to chrono a bare `%f` is a number of nanoseconds, to Python a fraction."""
        return _DIRECTIVE.sub(lambda found: "%.f" if found[0] == ".%f" else found[0], self.format or "")


def _reads_itself(layout: str, *, zoned: bool) -> bool:
    """Whether a time written in the layout can be read back; a format that is none at all cannot."""
    moment = pl.Series([datetime(2001, 2, 3, 16, 5, 6, tzinfo=UTC if zoned else None)])
    try:
        text = moment.dt.strftime(layout)
        read = text.str.to_datetime(layout, time_unit="ms", strict=False)
        return bool((read.dt.date() == moment.dt.date()).all() and not read.has_nulls())
    except pl.exceptions.PolarsError:
        return False


@dataclass(frozen=True)
class Mapping:
    """How the columns (or top-level keys) of a foreign row become the fields of the event.

    A field that is not named keeps its own name, unless that column feeds another field; a column that feeds
    no field is kept in `properties` under its own name.

    Attributes:
        help: one line on the data.
        fields: event field -> foreign column.
        constants: event field -> its value in every row.
        event_types: foreign event name -> ours; a name that is not listed stays as it is.
        values: text field -> what it may be, where it is there; a row with another value is a dead letter.
        time: how event_time is written.
        default_currency: of rows that have none; null = unknown.
        event_id: `given` = the row has it; `hash` = where it is absent, the hash of the whole row's bytes
            (of a Parquet row: of its JSON), so that exact copies share it.
        minor_digits: money field -> decimals of its minor unit, when the amount is an integer of minor units
            (2 = cents).
        drop: columns that are not kept at all.
        orders: the field whose distinct values are the orders, where there is no order_id.
        funnel: name of the shipped funnel that fits the data, where that is not the default.
        lenient: text that parses is taken for a number and a number for text; off, a field must have its
            JSON type (CSV and Parquet are always read leniently).
    """

    help: str = ""
    fields: AbstractMapping[str, str] = field(default_factory=dict)
    constants: AbstractMapping[str, str] = field(default_factory=dict)
    event_types: AbstractMapping[str, str] = field(default_factory=dict)
    values: AbstractMapping[str, tuple[str, ...]] = field(default_factory=dict)
    time: TimeReading = field(default_factory=TimeReading)
    default_currency: str | None = None
    event_id: Literal["given", "hash"] = "given"
    minor_digits: AbstractMapping[str, int] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    orders: Literal["order_id", "session_id", "event_id"] = "order_id"
    funnel: str = "default"
    lenient: bool = True

    def __post_init__(self) -> None:
        for part in ("fields", "constants", "values", "minor_digits"):
            for name in getattr(self, part):
                if name not in BY_NAME:
                    raise ConfigError(f"{part}.{name}", f"no field of the event{nearest(name, BY_NAME)}")
        if "properties" in self.constants:
            raise ConfigError("constants.properties", "an object is no constant")
        self._check_sources()
        self._check_kind("values", Kind.TEXT)
        self._check_kind("minor_digits", Kind.MONEY)
        for name, digits in self.minor_digits.items():
            if not 0 <= digits <= _MAX_MINOR_DIGITS:
                raise ConfigError(f"minor_digits.{name}", f"must be 0 to {_MAX_MINOR_DIGITS}, not {digits}")
        if self.default_currency is not None:
            if not re.fullmatch(CURRENCY, self.default_currency):
                raise ConfigError("default_currency", f"{self.default_currency!r} is no code such as EUR")
            object.__setattr__(self, "default_currency", in_capitals(self.default_currency))
        if "currency" in self.values:
            codes = tuple(in_capitals(code) for code in self.values["currency"])
            object.__setattr__(self, "values", {**self.values, "currency": codes})

    def _check_kind(self, part: str, kind: Kind) -> None:
        for name in getattr(self, part):
            if BY_NAME[name].kind is not kind:
                raise ConfigError(f"{part}.{name}", f"not a field of {kind.value}")

    def _check_sources(self) -> None:
        feeding: dict[str, str] = {}
        for name, column in self.fields.items():
            if name in self.constants:
                raise ConfigError(f"constants.{name}", "the field has a column already; leave one of them out")
            if column in feeding:
                message = f"column {column!r} feeds {feeding[column]} already"
                raise ConfigError(f"fields.{name}", message)
            if column in self.drop:
                raise ConfigError("drop", f"column {column!r} feeds {name}")
            feeding[column] = name

    def sources(self) -> dict[str, str]:
        """Event field of each foreign column that feeds one (column -> field)."""
        feeding = {column: name for name, column in self.fields.items()}
        taken = {*self.fields, *self.constants}
        for known in FIELDS:
            if known.name not in taken and known.name not in self.drop:
                feeding.setdefault(known.name, known.name)
        return feeding

    def with_time(self, time: TimeReading) -> "Mapping":
        """The same with another reading of event_time."""
        return replace(self, time=time)


def in_capitals(currency: str) -> str:
    """A currency as it is kept."""
    return currency.upper() if re.fullmatch(CURRENCY, currency) else currency


EVENT: Final = Mapping(help="the event itself", lenient=False)
"""The mapping of rows that already are events."""


def fill_orders(events: pl.DataFrame, mapping: Mapping | None) -> pl.DataFrame:
    """Events (FRAME_SCHEMA) with `order_id` on purchases that have none, as the mapping's `orders` says."""
    if mapping is None or mapping.orders == "order_id":
        return events
    bought = pl.col("event_type") == "purchase"
    return events.with_columns(order_id=pl.coalesce("order_id", pl.when(bought).then(pl.col(mapping.orders))))


def shipped_mappings() -> list[str]:
    """Names of the mappings that come with the package."""
    files = resources.files(_SHIPPED).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def parse_mapping(text: str, origin: str = "") -> Mapping:
    """The mapping of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    return parse_config(Mapping, text, origin)


def load_mapping(name: str) -> Mapping:
    """The mapping of a shipped name, or of a YAML file's path.

    Raises:
        ConfigError: for a name that is neither, or a wrong file.
    """
    if name in shipped_mappings():
        return parse_mapping(resources.files(_SHIPPED).joinpath(f"{name}.yaml").read_text("utf-8"), name)
    try:
        text = Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        close = nearest(name, shipped_mappings())
        raise ConfigError("", f"mapping {name!r} is neither shipped nor readable ({reason}){close}") from None
    return parse_mapping(text, name)
