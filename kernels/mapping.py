"""Mappings: how foreign rows become events, as plain data of a YAML file."""

import re
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import polars as pl

from ecompulse.kernels.config import ConfigError, nearest, parse_config
from ecompulse.kernels.event import BY_NAME, FIELDS, KAFKA, Kind
from ecompulse.kernels.foreign.dialect import Dialect
from ecompulse.kernels.foreign.paths import is_plain, parse_path
from ecompulse.kernels.foreign.shape import Shape, Skip, check_of_rows, is_simple, parse_source, paths_of
from ecompulse.kernels.foreign.times import TimeReading
from ecompulse.kernels.foreign.values import From, Numbers, Preparation

_SHIPPED: Final = "ecompulse.kernels.mappings"
CURRENCY: Final = "[A-Za-z]{3}"
"""A code of a currency; it is kept in capitals, which ISO 4217 and rates have."""
_MAX_MINOR_DIGITS: Final = 4
BY_CURRENCY: Final = "currency"
"""In `minor_digits`: as many as the row's currency has."""
_SWITCHES: Final = ("lenient", "header")
"""Keys that are on or off, wherever they stand: `yes` and `no` are no values of data there."""


@dataclass(frozen=True)
class Mapping:
    """How the columns of a foreign row, and what is in them, become the fields of the event.

    A field that is not named keeps its own name, unless that column feeds another field; a column that feeds
    no field is kept in `properties` under its own name, and so is what is left of one of which a part does.

    Attributes:
        help: one line on the data.
        format: how text files are written.
        fields: event field -> where it is: a column, a path, several of which the first that has a value counts, or
            what `From` says.
        constants: event field -> its value in every row.
        events: what events a row gives: of each shape that takes it those that it says; none = one.
        skip: rows that are no events, by conditions, `otherwise` (no shape takes them) or `tombstones` (messages
            without a value); they are counted.
        event_types: foreign event name -> ours; a name that is not listed stays as it is.
        values: text field -> what it may be, where it is there; a row with another value is a dead letter.
        time: how event_time is written.
        numbers: how numbers are written as text, where not as in JSON.
        default_currency: of rows that have none; null = unknown.
        event_id: `given` = the row has it; `hash` = where it is absent, the hash of the whole row's bytes
            (of a Parquet row: of its JSON), so that exact copies share it.
        minor_digits: money field -> decimals of its minor unit, when the amount is an integer of minor units
            (2 = cents); `currency` = as many as the currency of the row has (JPY none, BHD three, most two).
        currency_digits: currency -> decimals of its minor unit, where the source counts otherwise than ISO 4217.
        drop: columns, or paths, that are not kept at all; `*` = nothing that feeds no field is.
        orders: the field whose distinct values are the orders, where there is no order_id.
        funnel: name of the shipped funnel that fits the data, where that is not the default.
        lenient: text that parses is taken for a number and a number for text; off, a field must have its
            JSON type (CSV and Parquet are always read leniently).
    """

    help: str = ""
    format: Dialect = field(default_factory=Dialect)
    fields: AbstractMapping[str, Annotated[Any, parse_source]] = field(default_factory=dict)
    constants: AbstractMapping[str, str] = field(default_factory=dict)
    events: tuple[Shape, ...] = ()
    skip: tuple[Skip, ...] = ()
    event_types: AbstractMapping[str, str] = field(default_factory=dict)
    values: AbstractMapping[str, tuple[str, ...]] = field(default_factory=dict)
    time: TimeReading = field(default_factory=TimeReading)
    numbers: Numbers | None = None
    default_currency: str | None = None
    event_id: Literal["given", "hash"] = "given"
    minor_digits: AbstractMapping[str, int | Literal["currency"]] = field(default_factory=dict)
    currency_digits: AbstractMapping[str, int] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    orders: Literal["order_id", "session_id", "event_id"] = "order_id"
    funnel: str = "default"
    lenient: bool = True

    def __post_init__(self) -> None:
        for part in ("fields", "constants", "values", "minor_digits"):
            _check_names(part, getattr(self, part))
        self._check_sources()
        self._check_shapes()
        self._check_kind("values", Kind.TEXT)
        self._check_kind("minor_digits", Kind.MONEY)
        self._check_digits()
        if self.default_currency is not None:
            if not re.fullmatch(CURRENCY, self.default_currency):
                raise ConfigError("default_currency", f"{self.default_currency!r} is no code such as EUR")
            object.__setattr__(self, "default_currency", in_capitals(self.default_currency))
        if "currency" in self.values:
            codes = tuple(in_capitals(code) for code in self.values["currency"])
            object.__setattr__(self, "values", {**self.values, "currency": codes})

    def _check_digits(self) -> None:
        for part in ("minor_digits", "currency_digits"):
            for name, digits in getattr(self, part).items():
                if digits != BY_CURRENCY and not 0 <= int(digits) <= _MAX_MINOR_DIGITS:
                    raise ConfigError(f"{part}.{name}", f"must be 0 to {_MAX_MINOR_DIGITS}, not {digits}")
        for code in self.currency_digits:
            if not re.fullmatch(CURRENCY, code) or code != in_capitals(code):
                raise ConfigError(f"currency_digits.{code}", "is no code such as EUR")
        if self.currency_digits and BY_CURRENCY not in self.minor_digits.values():
            raise ConfigError("currency_digits", f"is of fields whose minor_digits are {BY_CURRENCY!r}; there are none")

    def _check_kind(self, part: str, kind: Kind) -> None:
        for name in getattr(self, part):
            if BY_NAME[name].kind is not kind:
                raise ConfigError(f"{part}.{name}", f"not a field of {kind.value}")

    def _check_shapes(self) -> None:
        """Each shape is a mapping by itself, with what the others have too."""
        for number, when in enumerate(self.skip):
            check_of_rows(f"skip[{number}]", when)
        for number, shape in enumerate(self.shapes if self.events else ()):
            try:
                replace(self, fields=shape.fields, constants=shape.constants, events=(), skip=())
            except ConfigError as error:
                raise ConfigError(f"events[{number}].{error.path}", error.message) from None

    def _check_sources(self) -> None:
        for name, source in self.fields.items():
            if name in self.constants:
                raise ConfigError(f"constants.{name}", "the field has a column already; leave one of them out")
            for column in paths_of(source):
                if column in self.drop:
                    raise ConfigError("drop", f"column {column!r} feeds {name}")
        for name, source in self.fields.items():
            if name == "properties" and (isinstance(source, From) or len(paths_of(source)) > 1):
                raise ConfigError("fields.properties", "is an object, which is taken as it is; name one path")

    @cached_property
    def nested(self) -> bool:
        """Whether more is said than which columns of a row feed which fields."""
        feeding = [column for source in self.fields.values() for column in paths_of(source)]
        plain = all(is_simple(source) for source in self.fields.values()) and len(set(feeding)) == len(feeding)
        return bool(self.events or self.skip) or not plain or not all(map(is_plain, self.drop))

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """What events a row gives, with the fields and constants that all of them have."""
        shapes = self.events or (Shape(),)
        return tuple(
            replace(
                shape,
                fields={
                    **{name: source for name, source in self.fields.items() if name not in shape.constants},
                    **shape.fields,
                },
                constants={
                    **{name: value for name, value in self.constants.items() if name not in shape.fields},
                    **shape.constants,
                },
            )
            for shape in shapes
        )

    @cached_property
    def divides(self) -> bool:
        """Whether a row may give several events."""
        return len(self.shapes) > 1 or any(shape.lines for shape in self.shapes)

    def column(self, name: str) -> str:
        """Where a field is, as messages name it."""
        return " or ".join(paths_of(self.fields[name])) if name in self.fields else name

    def preparation(self, name: str) -> Preparation | None:
        """What is done with the text of a field's cells before it is read as its kind."""
        source = self.fields.get(name)
        made = source if isinstance(source, From) and source.converts else None
        numbers = (made.numbers if made else None) or self.numbers
        found = Preparation(
            self.format.nulls, made, numbers if BY_NAME[name].kind in {Kind.MONEY, Kind.INTEGER} else None
        )
        return None if found == Preparation() else found

    def sources(self) -> dict[str, str]:
        """Event field of each foreign column that feeds one (column -> field)."""
        feeding = {column: name for name, source in self.fields.items() for column in paths_of(source)}
        taken = {*self.fields, *self.constants}
        for known in FIELDS:
            if known.name not in taken and known.name not in self.drop:
                feeding.setdefault(known.name, known.name)
        return feeding

    @property
    def reads_kafka(self) -> bool:
        """Whether it reads what Kafka says of records besides their values."""
        sources = [paths_of(source) for shape in self.shapes for source in shape.fields.values()]
        whens = [*(shape.when for shape in self.shapes), *self.skip]
        looked = [path for when in whens if isinstance(when, tuple) for path, _ in when]
        return any(parse_path(path)[0].name == KAFKA for path in [*(p for paths in sources for p in paths), *looked])

    def aliases(self) -> dict[str, str]:
        """Event field by what rows call it: the last key of each path that feeds one."""
        found = self.sources()
        for shape in self.shapes if self.nested else ():
            for name, source in shape.fields.items():
                for path in map(parse_path, paths_of(source)):
                    keys = [step.name for step in path if step.kind == "key"]
                    found |= dict.fromkeys(keys[-1:], name)
        return found

    def with_time(self, time: TimeReading) -> "Mapping":
        """The same with another reading of event_time."""
        return replace(self, time=time)


def _check_names(part: str, names: AbstractMapping[str, Any]) -> None:
    for name in names:
        if name not in BY_NAME:
            raise ConfigError(f"{part}.{name}", f"no field of the event{nearest(name, BY_NAME)}")
    if part.endswith("constants") and "properties" in names:
        raise ConfigError(f"{part}.properties", "an object is no constant")


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
    return parse_config(Mapping, text, origin, switches=_SWITCHES)


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
